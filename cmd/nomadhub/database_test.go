package main

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

// database makes an SQLite file with the schema and one user, ada.
func database(t *testing.T) (dsn string) {
	t.Helper()
	dsn = "sqlite://" + filepath.Join(t.TempDir(), "hub.db")
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	defer db.Close()
	if err := db.CreateUser(t.Context(), hub.User{ID: "u1", Name: "ada"}); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func open(t *testing.T, dsn string) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "hub.db")
	config := write(t, "hub.hcl", "database {\n  dsn = \"sqlite://"+file+"\"\n}\n")

	dry := call(t, nil, "migrate", "-config", config, "-dry-run")
	if dry.err != nil || !strings.HasPrefix(dry.out, "pending: 0001") {
		t.Fatalf("dry run: %v, %q", dry.err, dry.out)
	}
	first := call(t, nil, "migrate", "-config", config)
	if first.err != nil || !strings.HasPrefix(first.out, dry.out) || !strings.Contains(first.out, "up to date") {
		t.Fatalf("after a dry run: %v, %q", first.err, first.out)
	}
	again := call(t, []string{"NOMADHUB_DATABASE_DSN=sqlite://" + file}, "migrate")
	if again.err != nil || again.out != "The schema is up to date; 0 migrations were made.\n" {
		t.Errorf("again: %v, %q", again.err, again.out)
	}
	if got := call(t, nil, "migrate", "-dsn", "mysql://hub:hunter2@db/hub"); got.err == nil || strings.Contains(got.err.Error(), "hunter2") {
		t.Errorf("another database: %v", got.err)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	got := call(t, nil, "token", "-dsn", dsn, "-user", " Ada ", "-note", "for a script", "-scopes", "read:users!user, servers!user", "-expires", "24h")
	if got.err != nil {
		t.Fatal(got.err)
	}
	secret := strings.TrimSuffix(got.out, "\n")
	if len(secret) < 32 || strings.ContainsAny(secret, " \n") {
		t.Fatalf("printed %q, which is no token alone on a line", got.out)
	}
	db := open(t, dsn)
	defer db.Close()
	tokens, err := db.Tokens(t.Context(), "u1")
	if err != nil || len(tokens) != 1 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	k := tokens[0]
	if k.Note != "for a script" || strings.Join(k.Scopes, " ") != "read:users!user servers!user" || k.Expires.Sub(k.Created).Hours() != 24 {
		t.Errorf("made %+v", k)
	}
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nobody":                    {[]string{"-dsn", dsn}, "-user NAME"},
		"somebody unknown":          {[]string{"-dsn", dsn, "-user", "bob"}, `no user named "bob"`},
		"an unknown scope":          {[]string{"-dsn", dsn, "-user", "ada", "-scopes", "everything"}, "everything"},
		"more than the user has":    {[]string{"-dsn", dsn, "-user", "ada", "-scopes", "admin:users"}, "admin:users"},
		"an end in the past":        {[]string{"-dsn", dsn, "-user", "ada", "-expires", "-1h"}, "past"},
		"a database without schema": {[]string{"-dsn", "sqlite://" + filepath.Join(t.TempDir(), "new.db"), "-user", "ada"}, "nomadhub migrate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, nil, append([]string{"token"}, test.args...)...)
			if got.err == nil || !strings.Contains(got.err.Error(), test.want) {
				t.Errorf("error %v, want %q", got.err, test.want)
			}
			if got.out != "" {
				t.Errorf("printed %q", got.out)
			}
		})
	}
}

// TestTokenOpensTheAPI proves the token on a hub that runs: nomadhub dev, with the API asked as a script asks it.
func TestTokenOpensTheAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	dsn := "sqlite://" + filepath.Join(dir, "hub.db")
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	err := db.CreateUser(t.Context(), hub.User{ID: "u1", Name: "ada"})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(call(t, nil, "token", "-dsn", dsn, "-user", "ada").out)

	address := dev(t, dir)
	for _, test := range []struct {
		token string
		want  int
	}{{token, http.StatusOK}, {token + "x", http.StatusForbidden}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/hub/api/user", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "token "+test.token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != test.want {
			t.Errorf("status %d, want %d", res.StatusCode, test.want)
		}
	}
}

// dev runs `nomadhub dev` with these configurations until the test ends, and returns its address when it has printed its link.
func dev(t *testing.T, dir string, files ...string) (address string) {
	t.Helper()
	ports := write(t, "ports.hcl", "listen {\n  servers = \"127.0.0.1:0\"\n  metrics = \"127.0.0.1:0\"\n}\n")
	out := &lines{found: make(chan string, 1), prefix: "NomadHub is ready at "}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		args := []string{"dev", "-dir", dir, "-notebook", "/bin/true", "-listen", "127.0.0.1:0", "-config", ports}
		for _, file := range files {
			args = append(args, "-config", file)
		}
		ended <- dispatch(ctx, args, streams{out: out, err: t.Output()})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("nomadhub dev ended with: %v", err)
		}
	})
	select {
	case url := <-out.found:
		host := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
		if _, _, err := net.SplitHostPort(host); err != nil {
			t.Fatalf("said that it is at %q", url)
		}
		return host
	case err := <-ended:
		ended <- err
		t.Fatalf("nomadhub dev does not start: %v", err)
	case <-t.Context().Done():
	}
	return ""
}

// lines looks for a line in what is written.
type lines struct {
	text   strings.Builder
	prefix string
	found  chan string
}

func (l *lines) Write(p []byte) (int, error) {
	n, err := l.text.Write(p)
	for line := range strings.Lines(l.text.String()) {
		if rest, ok := strings.CutPrefix(line, l.prefix); ok && strings.HasSuffix(rest, "\n") {
			select {
			case l.found <- strings.TrimSpace(rest):
			default:
			}
		}
	}
	return n, err
}
