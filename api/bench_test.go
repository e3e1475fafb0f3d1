package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// bench is an API on a real hub, with two users and an administrator.
type bench struct {
	*hubtest.Bench
	t                *testing.T
	alice, bob, root hub.User
	tokens           map[string]string // by who speaks: "alice", "bob", "root", "" for nobody
}

// soon is how long the API waits for servers in tests where they are slow on purpose.
const soon = 200 * time.Millisecond

func newBench(t *testing.T, change ...func(*hub.Options)) *bench {
	t.Helper()
	return newBenchWith(t, api.Options{KeepAlive: soon}, change...)
}

func newBenchWith(t *testing.T, o api.Options, change ...func(*hub.Options)) *bench {
	t.Helper()
	b := &bench{Bench: hubtest.New(t, change...), t: t}
	o.Hub, o.Sessions, o.Logger = b.Hub, b.Sessions, b.Log
	o.Info = api.Info{Version: "1.2.3", Spawner: api.Part{Class: "fake", Version: "1"}, Authenticator: api.Part{Class: "test", Version: "2"}}
	a, err := api.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Acts = api.Acts()
	b.Serve(a.Mount, nil)
	b.alice, b.bob, b.root = b.User("alice", false), b.User("bob", false), b.User("root", true)
	b.tokens = map[string]string{"alice": b.Token(b.alice), "bob": b.Token(b.bob), "root": b.Token(b.root)}
	return b
}

// answer is what a request got.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// as makes a request with the token of somebody, or with a token itself.
func (b *bench) as(who, method, path, body string, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.Servers.URL+"/hub/api"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	token, known := b.tokens[who]
	if !known {
		token = who
	}
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return b.send(b.Servers.Client(), req)
}

func (b *bench) send(c *http.Client, req *http.Request) answer {
	b.t.Helper()
	res, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if v := res.Header.Get("X-JupyterHub-Version"); v != hub.Version {
		b.t.Errorf("%s %s says it is version %q", req.Method, req.URL.Path, v)
	}
	b.conforms(req, res.StatusCode, res.Header, text)
	return answer{b.t, res.StatusCode, res.Header, string(text)}
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("got %d, want %d: %s", a.status, status, a.body)
	}
	if status >= http.StatusBadRequest && a.status == status {
		a.problem()
	}
	return a
}

// problem checks that an error has JupyterHub's shape, and returns its message.
func (a answer) problem() string {
	a.t.Helper()
	var p struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}
	if a.json(&p); p.Status != a.status || p.Message == "" {
		a.t.Errorf("the error %d is told as %s", a.status, a.body)
	}
	return p.Message
}

func (a answer) json(v any) {
	a.t.Helper()
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		a.t.Errorf("the content type is %q", ct)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("not JSON: %v: %s", err, a.body)
	}
}

func (a answer) object() map[string]any {
	a.t.Helper()
	var m map[string]any
	a.json(&m)
	return m
}

func (a answer) list() []map[string]any {
	a.t.Helper()
	var m []map[string]any
	a.json(&m)
	return m
}

// empty checks an answer without a body, as JupyterHub marks it.
func (a answer) empty() {
	a.t.Helper()
	if ct := a.header.Get("Content-Type"); a.body != "" || !strings.HasPrefix(ct, "text/plain") {
		a.t.Errorf("the answer %d has the type %q and the body %q", a.status, ct, a.body)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// names returns a field of every entry.
func names(list []map[string]any) []string {
	out := []string{}
	for _, m := range list {
		out = append(out, m["name"].(string))
	}
	return out
}

// keys returns the sorted keys of an object.
func keys(m map[string]any) string {
	var k []string
	for key := range m {
		k = append(k, key)
	}
	return strings.Join(sorted(k), " ")
}
