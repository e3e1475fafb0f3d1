package main

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestShutdownByRequest ends a hub that runs by its API: the request is answered, and the program ends without an error, which dev's clean-up sees to.
func TestShutdownByRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dsn := "sqlite://" + filepath.Join(dir, "hub.db")
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	if err := db.CreateUser(t.Context(), hub.User{ID: "u1", Name: "root", Admin: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(call(t, nil, "token", "-dsn", dsn, "-user", "root").out)
	address := dev(t, dir)
	c := client{t: t, base: "http://" + address, token: token}
	if status, body := c.ask(http.MethodPost, "/hub/api/shutdown", `{"servers": 1}`); status != http.StatusBadRequest {
		t.Fatalf("%d: %s", status, body)
	}
	if status, body := c.ask(http.MethodPost, "/hub/api/shutdown", ""); status != http.StatusAccepted || !strings.Contains(body, "message") {
		t.Fatalf("%d: %s", status, body)
	}
	eventually(t, "the end of the listener", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
}
