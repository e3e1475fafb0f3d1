package main

import (
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
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

	log := slog.New(slog.DiscardHandler)
	for name, c := range map[string]config.Nomad{
		"TCP": {Address: plain.URL}, "TLS": {Address: secure.URL}, "the task's socket": {Address: "unix://" + path},
		"the second address": {Address: "http://127.0.0.1:1", Addresses: []string{plain.URL}}, "the third": {Address: "http://127.0.0.1:1", Addresses: []string{"https://127.0.0.1:2", secure.URL}},
	} {
		c.TokenFile = token
		client, err := nomadClient(c, log)
		if err != nil {
			t.Errorf("by %s: %v", name, err)
			continue
		}
		if said, err := client.Status().Leader(); err != nil || said != "127.0.0.1:4647" {
			t.Errorf("by %s Nomad says %q, %v", name, said, err)
		}
	}

	client, err := nomadClient(config.Nomad{Address: plain.URL, TokenFile: token}, log)
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

// TestNamespacesAreSchedulersOfTheirOwn asks Nomad through the scheduler of a hub with two namespaces and two regions, and sees which ones are asked, with which token.
func TestNamespacesAreSchedulersOfTheirOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[config.NomadPlace]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Nomad-Token") != "secret" {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		asked[config.NomadPlace{Region: r.URL.Query().Get("region"), Namespace: r.URL.Query().Get("namespace")}] = true
		_, _ = w.Write([]byte("[]"))
	}))
	t.Cleanup(server.Close)
	c := config.Nomad{
		Address: server.URL, TokenFile: write(t, "token", "secret"), JobPrefix: "notebook-",
		Region: "eu", Regions: []string{"us"}, Namespace: "small", Namespaces: []string{"gpu"},
	}
	named := map[string]string{"own": `job "x" {}`}
	s, err := openNomad(c, named, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("listed %v, %v", all, err)
	}
	for _, place := range c.Places() {
		if !asked[place] {
			t.Errorf("%v was not asked; asked were %v", place, asked)
		}
	}
	taker, ok := s.(jobspecTaker)
	if !ok {
		t.Fatal("changed profiles would need a restart")
	}
	if err := taker.SetJobspecs(named); err != nil {
		t.Error(err)
	}
	if err := taker.SetJobspecs(map[string]string{"bad": " "}); err == nil {
		t.Error("an empty jobspec was taken")
	}
	err = s.Start(t.Context(), scheduler.Spec{ID: "a", Generation: 1, Workload: scheduler.Workload{Placement: scheduler.Placement{Namespace: "else"}}})
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, `"else"`) {
		t.Errorf("a start elsewhere: %v", err)
	}
	c.Regions, c.Namespaces = nil, nil
	if s, err = openNomad(c, named, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if _, alone := s.(*nomad.Scheduler); !alone {
		t.Errorf("one namespace is looked after by a %T", s)
	}
}
