package api_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
)

// TestF40_OddBodiesAtEachRoute sends to every route that may take a body what is no JSON, or JSON that is meant to hurt. Nothing of it is our fault: no answer is 5xx,
// none takes it for right where a body is read at all.
func TestF40_OddBodiesAtEachRoute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Start("alice", "lab")
	bodies := map[string]string{
		"invalid UTF-8 outside of text": "{\xff\xfe}", "invalid UTF-8": "\"\xc3\x28\"", "UTF-16": "\xff\xfe{\x00}\x00", "a byte order mark": "\xef\xbb\xbf{}",
		"depth": strings.Repeat("[", 100_000), "depth of objects": strings.Repeat(`{"a":`, 20_000), "closed depth": strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000),
		"too large": `{"x": "` + strings.Repeat("x", 1<<20) + `"}`, "a huge number": `{"expires_in": 1e999, "limit": 1e999, "admin": 1e999}`, "two": "{} {}", "cut": `{"users": ["a`,
		"no JSON": "usernames=alice", "a form": "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--", "NUL": "{\x00}", "gzip": "\x1f\x8b\x08\x00", "a number": "7",
		"a text": `"x"`, "a list": "[1, null, {}]", "true": "true", "XML": "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><x>&a;</x>",
	}
	read := 0
	for _, r := range b.closed() {
		if !unsafe(r.Method) || r.Path == "/shutdown" && r.Method == http.MethodPost {
			continue
		}
		for name, body := range bodies {
			a := b.as("root", r.Method, api.Concrete(r.Path), body, "Content-Type", "application/json; charset=koi8-r")
			if a.status >= http.StatusInternalServerError && a.status != http.StatusServiceUnavailable {
				t.Errorf("%s %s with a body that is %s: %d %s", r.Method, r.Path, name, a.status, a.body)
			}
			if a.status == http.StatusBadRequest {
				read++
			}
			if strings.Contains(a.body, "root:") {
				t.Errorf("%s %s with a body that is %s: a file is read: %s", r.Method, r.Path, name, a.body)
			}
		}
	}
	if read < 100 {
		t.Errorf("only %d bodies were refused", read)
	}
	// Of a key that is there twice the last one counts, for check and deed alike.
	b.as("root", http.MethodPost, "/users/twice", `{"admin": true, "admin": false}`).want(http.StatusCreated)
	same(t, "admin", b.as("root", http.MethodGet, "/users/twice", "").object()["admin"], any(false))
}

// TestA45_ForgedPages: offsets, sizes, orders and IDs are what they are parsed to, or nothing.
func TestA45_ForgedPages(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	doc, _, err := b.rest().Describe()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, r := range b.routes() {
		op := doc["paths"].(map[string]any)[r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			name, forged := forgedValues(doc, p)
			for _, v := range forged {
				tried++
				a := b.as("root", r.Method, api.Concrete(r.Path)+"?"+name+"="+url.QueryEscape(v), "")
				if a.status != http.StatusBadRequest && a.status != http.StatusNotFound {
					t.Errorf("%s %s?%s=%s: %d %s", r.Method, r.Path, name, v, a.status, a.body)
				}
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d were tried", tried)
	}
	for _, id := range []string{"a", "1", "a-1", "a+1", "a01", "a1.0", "a1e1", "A1", "a9223372036854775808", "a 1", "a1%00", "x1", "a1'--"} {
		b.as("root", http.MethodGet, "/users/"+b.root.Name+"/tokens/"+url.PathEscape(id), "").want(http.StatusNotFound)
	}
}

// forgedValues are what a parameter of the query must not take, by its schema.
func forgedValues(doc map[string]any, parameter any) (name string, forged []string) {
	p, _ := parameter.(map[string]any)
	if to, ok := p["$ref"].(string); ok {
		components := doc["components"].(map[string]any)
		p, _ = components["parameters"].(map[string]any)[to[strings.LastIndex(to, "/")+1:]].(map[string]any)
	}
	schema, _ := p["schema"].(map[string]any)
	name, _ = p["name"].(string)
	switch {
	case p["in"] != "query":
	case schema["type"] == "integer":
		forged = []string{"x", "1.5", "1e3", "0x10", "99999999999999999999", "1;2", " ", "१", "null", "1,2", "--1"}
	case schema["enum"] != nil:
		forged = []string{"x", "id; DROP TABLE users", "name desc", "NAME", "-", "--name", "\x00"}
		if name == "sort" {
			forged = append(forged[:4], forged[5:]...)
		}
	}
	return name, forged
}

// TestF36_ForgedHostsAreNotBelieved: what a client says of where it reached us is nowhere in an answer, but for the address of the next page, which is for the one who asked.
func TestF36_ForgedHostsAreNotBelieved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Start("alice", "lab")
	const evil = "evil.example"
	claims := map[string]string{
		"X-Forwarded-Host": evil, "X-Forwarded-Server": evil, "Forwarded": "host=" + evil + ";proto=https", "X-Forwarded-Prefix": "//" + evil,
		"X-Original-Host": evil, "X-Host": evil, "X-Forwarded-Proto": "javascript:" + evil, "Origin": "https://" + evil, "Referer": "https://" + evil + "/",
		"X-Forwarded-For": evil,
	}
	forged := []map[string]string{claims, {"Host": evil}, {"Host": "user@" + evil}}
	for _, r := range b.routes() {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/log") {
			continue
		}
		for _, headers := range forged {
			req, err := http.NewRequestWithContext(t.Context(), r.Method, b.Servers.URL+"/hub/api"+api.Concrete(r.Path), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "token "+b.tokens["root"])
			for name, value := range headers {
				req.Header.Set(name, value)
				if name == "Host" {
					req.Host = value
				}
			}
			a := b.send(b.Servers.Client(), req)
			if strings.Contains(a.body, evil) {
				t.Errorf("%s with %v: %s", r.Path, headers, a.body)
			}
			for name, values := range a.header {
				if strings.Contains(strings.Join(values, " "), evil) {
					t.Errorf("%s with %v: %s: %v", r.Path, headers, name, values)
				}
			}
		}
	}
}

// lines is a log that tests can read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestA11_NoTokenInTheLog has tokens where they may get into a log, or be told on: in addresses, headers and bodies, of good requests and of failed ones.
func TestA11_NoTokenInTheLog(t *testing.T) {
	t.Parallel()
	var log lines
	b := newDescribedBench(t, func(o *hub.Options) {
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	secret := b.tokens["alice"]
	for _, path := range []string{"/user", "/users/alice", "/nowhere", "/users/alice/tokens/" + secret, "/users/" + secret} {
		for _, query := range []string{"", "?token=" + secret, "?x=1&access_token=" + secret, "?code=" + secret} {
			b.as("", http.MethodGet, path+query, "")
			b.as("alice", http.MethodGet, path+query, "")
			b.as("alice", http.MethodPost, path+query, `{"token": "`+secret+`", "note": "`+secret+`", "nonsense": "`+secret+`"}`)
		}
	}
	made := b.as("alice", http.MethodPost, "/users/alice/tokens", "").want(http.StatusCreated).object()["token"].(string)
	b.as(made, http.MethodGet, "/user", "").want(http.StatusOK)
	text := log.String()
	if !strings.Contains(text, "logged in") || !strings.Contains(text, "path=/hub/api/user ") {
		t.Fatal("the log is not the hub's")
	}
	for _, s := range []string{made} {
		if strings.Contains(text, s) {
			t.Errorf("the log holds a token that was made: %.300s", text[strings.Index(text, s)-200:])
		}
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, secret) && !strings.Contains(line, "path=/hub/api/users/") { // who takes a token for a name tells it
			t.Errorf("the log holds a token: %s", line)
		}
	}
}
