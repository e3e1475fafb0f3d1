package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/secret/vault"
)

// fakeVault answers as Vault does in cases that a real one cannot be brought into at will.
type fakeVault struct {
	mu     sync.Mutex
	good   string // the token that is accepted
	logins int
	body   map[string]any // of the last login
	ttl    int            // seconds
	reads  []string       // tokens of the reads
	read   func(w http.ResponseWriter)
	login  func(w http.ResponseWriter)
}

func (f *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/login") {
		f.serveLogin(w, r)
		return
	}
	token := r.Header.Get("X-Vault-Token")
	f.reads = append(f.reads, token)
	switch {
	case f.read != nil:
		f.read(w)
	case token != f.good:
		answer(w, http.StatusForbidden, `{"errors":["permission denied"]}`)
	default:
		answer(w, http.StatusOK, `{"data":{"data":{"path":"`+r.URL.Path+`","namespace":"`+r.Header.Get("X-Vault-Namespace")+
			`","number":7,"yes":true},"metadata":{"version":3,"created_time":"2026-01-02T03:04:05Z"}}}`)
	}
}

func (f *fakeVault) serveLogin(w http.ResponseWriter, r *http.Request) {
	f.logins++
	f.body = nil
	if err := json.NewDecoder(r.Body).Decode(&f.body); err != nil {
		answer(w, http.StatusBadRequest, `{"errors":["bad body"]}`)
		return
	}
	f.body["path"], f.body["token"] = r.URL.Path, r.Header.Get("X-Vault-Token")
	if f.login != nil {
		f.login(w)
		return
	}
	f.good = fmt.Sprintf("token-%d", f.logins)
	answer(w, http.StatusOK, fmt.Sprintf(`{"auth":{"client_token":%q,"lease_duration":%d,"renewable":true}}`, f.good, f.ttl))
}

func (f *fakeVault) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, f *fakeVault, change func(*vault.Options)) *vault.Store {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	o := vault.Options{Address: server.URL, Prefix: "/nomadhub/", Timeout: 500 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	change(&o)
	store, err := vault.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func byJWT(t *testing.T) func(*vault.Options) {
	return func(o *vault.Options) { o.JWT = &vault.JWT{Role: "hub", File: write(t, "header.claims.signature\n")} }
}

func TestGet(t *testing.T) {
	t.Parallel()
	f := &fakeVault{ttl: 3600}
	store := open(t, f, func(o *vault.Options) {
		byJWT(t)(o)
		o.Mount, o.Namespace = "kv/", "team"
	})
	s, err := store.Get(t.Context(), "oauth/github")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"path": "/v1/kv/data/nomadhub/oauth/github", "namespace": "team", "number": "7", "yes": "true"} {
		if got := s.Values[key].Reveal(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if s.Version != 3 {
		t.Errorf("version %d", s.Version)
	}
	for key, want := range map[string]any{"role": "hub", "jwt": "header.claims.signature", "path": "/v1/auth/jwt-nomad/login", "token": ""} {
		if f.body[key] != want {
			t.Errorf("login with %s %q, want %q", key, f.body[key], want)
		}
	}
	if _, err := store.Get(t.Context(), "again"); err != nil || f.logins != 1 {
		t.Errorf("%d logins for two reads, %v", f.logins, err)
	}
}

func TestAppRoleLogin(t *testing.T) {
	t.Parallel()
	f := &fakeVault{ttl: 3600}
	store := open(t, f, func(o *vault.Options) {
		o.AppRole = &vault.AppRole{RoleID: "role", SecretIDFile: write(t, "secret-id\n")}
	})
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if f.body["role_id"] != "role" || f.body["secret_id"] != "secret-id" || f.body["path"] != "/v1/auth/approle/login" {
		t.Errorf("login with %v", f.body)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		code int
		body string
		want error // nil: any other
		text string
	}{
		{"sealed", 503, `{"errors":["Vault is sealed"]}`, secret.ErrUnavailable, "Vault answered 503: Vault is sealed"},
		{"broken", 500, `{"errors":["internal\n\terror"]}`, secret.ErrUnavailable, "500: internal error"},
		{"a proxy's page", 502, `<html>` + strings.Repeat("x", 5000), secret.ErrUnavailable, "502: <html>"},
		{"too many requests", 429, `{"errors":["quota"]}`, secret.ErrUnavailable, "429"},
		{"truncated", 200, `{"data":{"data":{"a":"b`, secret.ErrUnavailable, ""},
		{"nothing there", 404, `{"errors":[]}`, secret.ErrNotFound, "nomadhub/x"},
		{"deleted", 404, `{"data":{"data":null,"metadata":{"version":2,"deletion_time":"2026-01-02T03:04:05Z","destroyed":false,"created_time":"2026-01-02T03:04:05Z"}}}`, secret.ErrNotFound, "deleted"},
		{"forbidden", 403, `{"errors":["permission denied"]}`, nil, "vault: read nomadhub/x from the key/value store secret: Vault answered 403: permission denied"},
		{"not a text", 200, `{"data":{"data":{"deep":{"hunter2":1}},"metadata":{"version":1,"created_time":"2026-01-02T03:04:05Z"}}}`, nil, `the value "deep"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &fakeVault{ttl: 3600, read: func(w http.ResponseWriter) { answer(w, tt.code, tt.body) }}
			_, err := open(t, f, byJWT(t)).Get(t.Context(), "x")
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("error %v, want one with %q", err, tt.text)
			}
			for _, kind := range []error{secret.ErrUnavailable, secret.ErrNotFound} {
				if errors.Is(err, kind) != errors.Is(tt.want, kind) {
					t.Errorf("is it %v? %v", kind, err)
				}
			}
			if strings.ContainsAny(err.Error(), "\n\t") || len(err.Error()) > 600 || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("not fit for a log line: %v", err)
			}
			if f.logins > 1 {
				t.Errorf("%d logins", f.logins)
			}
		})
	}
}

func TestHangingVault(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices only then that the client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	store, err := vault.New(vault.Options{Address: server.URL, Timeout: 50 * time.Millisecond, JWT: &vault.JWT{File: write(t, "x")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "x"); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("a Vault that never answers: %v", err)
	}
}

func TestTokenFileIsReadAgain(t *testing.T) {
	t.Parallel()
	file := write(t, "one\n")
	f := &fakeVault{good: "one"}
	store := open(t, f, func(o *vault.Options) { o.TokenFile = file })
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	f.change(func() { f.good = "two" })
	if _, err := store.Get(t.Context(), "x"); err == nil || errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("with a token that is no longer good: %v", err)
	}
	if err := os.WriteFile(file, []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Errorf("with the new token: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "x"); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("without the file: %v", err)
	}
}

// A token that Vault refuses, whatever the reason, is replaced by a login: renewing it would fail for ever.
func TestRevokedToken(t *testing.T) {
	t.Parallel()
	f := &fakeVault{ttl: 3600}
	store := open(t, f, byJWT(t))
	vault.SetLoginPause(store, 0)
	for i := range 3 {
		if _, err := store.Get(t.Context(), "x"); err != nil {
			t.Fatalf("read %d: %v", i, err)
		}
		f.change(func() { f.good = "none of the ones that were given" })
	}
	if f.logins != 3 {
		t.Errorf("%d logins, want 3", f.logins)
	}
}

func TestForbiddenIsNoReasonToLogInAllTheTime(t *testing.T) {
	t.Parallel()
	f := &fakeVault{ttl: 3600, read: func(w http.ResponseWriter) { answer(w, 403, `{"errors":["permission denied"]}`) }}
	store := open(t, f, byJWT(t))
	for range 20 {
		if _, err := store.Get(t.Context(), "x"); err == nil {
			t.Fatal("read what is forbidden")
		}
	}
	if f.logins != 1 {
		t.Errorf("%d logins, want 1", f.logins)
	}
}

func TestFailingLogin(t *testing.T) {
	t.Parallel()
	f := &fakeVault{ttl: 1}
	store := open(t, f, byJWT(t))
	f.login = func(w http.ResponseWriter) { answer(w, 400, `{"errors":["claim \"aud\" does not match"]}`) }
	if _, err := store.Get(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), `log in at auth/jwt-nomad/login: Vault answered 400: claim "aud"`) {
		t.Errorf("refused login: %v", err)
	}
	f.change(func() { f.login = nil })
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Fatalf("after a failed login: %v", err)
	}
	// The token lives one second. Half a second later logins fail, but it is still good, and in use until it ends.
	f.change(func() { f.login = func(w http.ResponseWriter) { answer(w, 503, `{"errors":["Vault is sealed"]}`) } })
	logins, sealed := f.logins, false
	for deadline := time.Now().Add(30 * time.Second); !sealed && time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		_, err := store.Get(t.Context(), "x")
		sealed = errors.Is(err, secret.ErrUnavailable)
		if err != nil && !sealed {
			t.Fatal(err)
		}
	}
	if !sealed {
		t.Error("a token was used beyond its time")
	}
	if f.logins < logins+2 || f.reads[len(f.reads)-1] != f.good {
		t.Errorf("%d more logins were tried; last read with %q", f.logins-logins, f.reads[len(f.reads)-1])
	}
	f.change(func() { f.login = nil })
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Errorf("after the trouble: %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]vault.Options{
		"two ways in":         {TokenFile: "x", JWT: &vault.JWT{File: "y"}},
		"half an AppRole":     {AppRole: &vault.AppRole{RoleID: "x"}},
		"JWT without a file":  {JWT: &vault.JWT{Role: "hub"}},
		"missing certificate": {TokenFile: "x", CACert: "/nonexistent"},
		"no address":          {TokenFile: "x", Address: "http://[::1"},
	} {
		if _, err := vault.New(o); err == nil || !strings.HasPrefix(err.Error(), "vault: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenOfTheEnvironment(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "")
	if _, err := vault.New(vault.Options{}); err == nil || !strings.Contains(err.Error(), "no way to log in") {
		t.Errorf("no way to log in: %v", err)
	}
	t.Setenv("VAULT_TOKEN", "given")
	f := &fakeVault{good: "given"}
	if _, err := open(t, f, func(*vault.Options) {}).Get(t.Context(), "x"); err != nil {
		t.Errorf("with VAULT_TOKEN: %v", err)
	}
	// Whoever names a file means the file.
	f = &fakeVault{good: "of the file"}
	store := open(t, f, func(o *vault.Options) { o.TokenFile = write(t, "of the file") })
	if _, err := store.Get(t.Context(), "x"); err != nil {
		t.Errorf("with a file and VAULT_TOKEN: %v", err)
	}
}
