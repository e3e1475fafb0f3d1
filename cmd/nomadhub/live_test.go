package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// client is somebody with a token at a hub that runs.
type client struct {
	t             *testing.T
	base, token   string
	configuration string // the file that is changed
}

// ask returns the status and the body of an answer of the API.
func (c client) ask(method, path, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// start asks for the default server.
func (c client) start(options string) (int, string) {
	c.t.Helper()
	return c.ask(http.MethodPost, "/hub/api/users/ada/server", options)
}

// newClient is ada at a hub that runs; others are users beside her.
func newClient(t *testing.T, configuration string, others ...hub.User) client {
	t.Helper()
	dir := t.TempDir()
	dsn := "sqlite://" + filepath.Join(dir, "hub.db")
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	for _, u := range append(others, hub.User{ID: "u1", Name: "ada"}) {
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c := client{t: t, configuration: write(t, "live.hcl", configuration)}
	c.token = strings.TrimSpace(call(t, nil, "token", "-dsn", dsn, "-user", "ada").out)
	c.base = "http://" + dev(t, dir, c.configuration)
	return c
}

// TestF38_ProfilesOfARunningHub changes the configuration of a hub that runs, and asks for servers through the API as scripts do: F38 and live reload.
func TestF38_ProfilesOfARunningHub(t *testing.T) {
	t.Parallel()
	c := newClient(t, `profile "small" {}`)
	for options, want := range map[string]string{
		`{"profile":"lab"}`:                      `There is no profile \"lab\" for you`,
		`{"profile":["small"],"privileged":"1"}`: `(option \"privileged\")`,
		`{"profile":"small","image":"evil:1"}`:   `(option \"image\")`,
		`{"profile":{"deep":[{"x":1}]}}`:         `(option \"profile\")`,
	} {
		if status, body := c.start(options); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", options, status, body)
		}
	}
	const lab = `
profile "small" {}
profile "lab" {
  option "branch" {
    pattern = "[^!]+"
    set {
      environment = { BRANCH = option.value }
      args        = ["--branch=${option.value}"]
    }
  }
}`
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(c.configuration+".next", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(c.configuration+".next", c.configuration); err != nil {
			t.Fatal(err)
		}
	}
	replace(lab)
	eventually(t, "the new profile may be chosen", func() bool {
		_, body := c.start(`{"profile":"lab","branch":"${x}"}`)
		return strings.Contains(body, `(option \"branch\")`)
	})
	replace("profile \"lab\" {\n  nonsense = 1\n}") // refused: the one before stays
	status, body := c.start(`{"profile":["lab"],"branch":["main"]}`)
	if status == http.StatusBadRequest {
		t.Fatalf("a good choice: %d %s", status, body)
	}
	eventually(t, "the choice is kept in its canonical form", func() bool {
		_, body := c.ask(http.MethodGet, "/hub/api/users/ada?include_stopped_servers=1", "")
		body = strings.ReplaceAll(body, " ", "")
		return strings.Contains(body, `"user_options":{"branch":"main","profile":"lab"}`)
	})
}
