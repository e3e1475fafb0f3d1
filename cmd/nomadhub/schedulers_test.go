package main

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/nomadhub/nomadhub/config"
)

// nomadLeader answers as Nomad does when it is asked for its leader, to those who have the token.
func nomadLeader(want string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Nomad-Token") != want {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`"127.0.0.1:4647"`))
	})
}

// TestNomadIsReached reaches Nomad in each of the ways that a configuration can say.
func TestNomadIsReached(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := write("token", []byte("first\n"))

	plain := httptest.NewServer(nomadLeader("first"))
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(nomadLeader("first"))
	t.Cleanup(secure.Close)
	t.Setenv("NOMAD_CACERT", write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	socket := httptest.NewUnstartedServer(nomadLeader("first"))
	path := filepath.Join(dir, "api.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.Listener.Close()
	socket.Listener = listener
	socket.Start()
	t.Cleanup(socket.Close)

	for name, address := range map[string]string{"TCP": plain.URL, "TLS": secure.URL, "the task's socket": "unix://" + path} {
		client, err := nomadClient(config.Nomad{Address: address, TokenFile: token})
		if err != nil {
			t.Errorf("by %s: %v", name, err)
			continue
		}
		if said, err := client.Status().Leader(); err != nil || said != "127.0.0.1:4647" {
			t.Errorf("by %s Nomad says %q, %v", name, said, err)
		}
	}

	client, err := nomadClient(config.Nomad{Address: plain.URL, TokenFile: token})
	if err != nil {
		t.Fatal(err)
	}
	write("token", []byte("second"))
	if _, err := client.Status().Leader(); err == nil {
		t.Error("a token that was replaced in its file is still used")
	}
	write("token", []byte("first"))
	if _, err := client.Status().Leader(); err != nil {
		t.Errorf("with the new token: %v", err)
	}
}
