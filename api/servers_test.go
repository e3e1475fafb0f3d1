package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/scheduler"
)

// serverPaths are the ways to name alice's default server.
var serverPaths = []string{"/users/alice/server", "/users/alice/servers/"}

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, path := range append(serverPaths, "/users/alice/servers/b%20%2B%C3%A4") {
		b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent).empty() // did not run
		b.as("alice", http.MethodPost, path, "").want(http.StatusCreated).empty()
		m := b.as("alice", http.MethodGet, path, "").want(http.StatusOK).object()
		same(t, "ready", m["ready"], any(true))
		a := b.as("alice", http.MethodPost, path, "").want(http.StatusBadRequest)
		if !strings.Contains(a.body, "already running") {
			t.Errorf("the message is %s", a.body)
		}
		b.as("bob", http.MethodDelete, path, "").want(http.StatusNotFound)
		b.as("root", http.MethodDelete, path, "").want(http.StatusNoContent).empty()
		b.as("alice", http.MethodDelete, path, "").want(http.StatusNoContent).empty()
		same(t, "stopped", b.as("alice", http.MethodGet, path, "").object()["stopped"], any(true))
	}
	b.as("alice", http.MethodGet, "/users/alice/servers/none", "").want(http.StatusNotFound)
	b.as("alice", http.MethodDelete, "/users/alice/servers/none", "").want(http.StatusNotFound)
	b.as("alice", http.MethodPost, "/users/alice/servers/a%2Fb", "").want(http.StatusBadRequest)
	b.as("root", http.MethodPost, "/users/nobody/server", "").want(http.StatusNotFound)
	b.as(b.Token(b.alice, "read:servers!user"), http.MethodPost, "/users/alice/server", "").want(http.StatusForbidden)
	b.as(b.Token(b.alice, "delete:servers!server=alice/x"), http.MethodDelete, "/users/alice/server", "").want(http.StatusNotFound)
}

func TestOptionsOfAStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct{ body, want string }{
		{`{"image": "x", "n": [1, {"a": null}]}`, `{"image":"x","n":[1,{"a":null}]}`},
		{``, `{"image":"x","n":[1,{"a":null}]}`}, // as last time
		{`null`, `{"image":"x","n":[1,{"a":null}]}`},
		{`{}`, `{}`},
	} {
		b.as("alice", http.MethodPost, "/users/alice/server", c.body).want(http.StatusCreated)
		got, err := json.Marshal(b.as("alice", http.MethodGet, "/users/alice/server", "").object()["user_options"])
		if err != nil {
			t.Fatal(err)
		}
		same(t, c.body, string(got), c.want)
		b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent)
	}
}

func TestSlowStartAndStop(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, api.Options{SlowSpawn: soon, SlowStop: soon})
	up := b.Fake.OnStart
	specs := make(chan scheduler.Spec, 1)
	b.Fake.OnStart = func(spec scheduler.Spec) { specs <- spec }
	gate := make(chan struct{})
	b.Fake.OnStop = func(scheduler.Spec) { <-gate }

	b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusAccepted).empty()
	b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusAccepted).empty() // on its way already
	if status := b.askPatiently(http.MethodPost, "/users/alice/server"); status != http.StatusAccepted {
		t.Errorf("asking again waits, and gives %d", status)
	}
	m := b.as("alice", http.MethodGet, "/users/alice", "").object()
	same(t, "pending", []any{m["pending"], m["server"]}, []any{"spawn", nil})
	up(<-specs)
	s, err := b.Hub.Server(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	b.Await(s.ID, hub.Ready)

	b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusAccepted).empty()
	same(t, "pending", b.as("alice", http.MethodGet, "/users/alice", "").object()["pending"], any("stop"))
	b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusAccepted).empty()
	a := b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusBadRequest)
	if !strings.Contains(a.body, "being stopped") {
		t.Errorf("the message is %s", a.body)
	}
	close(gate)
	b.Await(s.ID, hub.Stopped)
	b.as("alice", http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent).empty()
}

// askPatiently asks, for alice, an API that waits for an hour, for as long as a test may take.
func (b *bench) askPatiently(method, path string) int {
	b.t.Helper()
	patient, err := api.New(api.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log, SlowSpawn: time.Hour})
	if err != nil {
		b.t.Fatal(err)
	}
	router := chi.NewRouter()
	router.Route("/hub/api", patient.Mount)
	ctx, cancel := context.WithTimeout(b.t.Context(), hubtest.Patience)
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, method, "/hub/api"+path, nil)
	req.Header.Set("Authorization", "token "+b.tokens["alice"])
	w := httptest.NewRecorder()
	router.ServeHTTP(w, req)
	if ctx.Err() != nil {
		return 0
	}
	return w.Code
}

// TestStopThenStartedAnew sees that who waits for a stop does not wait for a start that came after it.
func TestStopThenStartedAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusCreated)
	stopping, gate := make(chan struct{}), make(chan struct{})
	b.Fake.OnStop = func(scheduler.Spec) { close(stopping); <-gate }
	done := make(chan answer)
	go func() { done <- b.as("alice", http.MethodDelete, "/users/alice/server", "") }()
	<-stopping
	s, err := b.Hub.Server(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	s.State, s.Generation = hub.Ready, s.Generation+1 // as another replica writes it
	if _, err := b.Store.UpdateServer(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	(<-done).want(http.StatusNoContent).empty()
	close(gate)
}

func TestFailedStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Fake.OnStart = func(spec scheduler.Spec) { b.Fake.Kill(spec.ID, "The image is not known.") }
	a := b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusInternalServerError)
	if !strings.Contains(a.body, "The image is not known.") {
		t.Errorf("the message is %s", a.body)
	}
	e := b.events("alice", "/users/alice/server/progress")
	last := e[len(e)-1]
	same(t, "failed", []any{last["failed"], last["progress"]}, []any{true, 100.0})
	if m, _ := last["message"].(string); !strings.HasPrefix(m, "Spawn failed") {
		t.Errorf("the last event is %v", last)
	}
}

func TestCancelledStart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Fake.OnStart = func(scheduler.Spec) {}
	started := make(chan answer, 1)
	go func() { started <- b.as("alice", http.MethodPost, "/users/alice/server", "") }()
	b.Eventually("the start", func() bool {
		s, err := b.Hub.Server(t.Context(), "alice", "")
		return err == nil && s.State == hub.Starting
	})
	b.as("root", http.MethodDelete, "/users/alice/server", "").want(http.StatusNoContent)
	a := <-started
	a.want(http.StatusInternalServerError)
	if !strings.Contains(a.body, "cancelled") {
		t.Errorf("the message is %s", a.body)
	}
}

func TestNamedServers(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits = hub.Limits{AllowNamed: true, NamedServers: 1} })
	b.as("alice", http.MethodPost, "/users/alice/servers/one", "").want(http.StatusCreated)
	b.as("alice", http.MethodPost, "/users/alice/servers/two", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodDelete, "/users/alice/servers/one", `{"remove": true, "x": 1}`).want(http.StatusNoContent).empty()
	b.as("alice", http.MethodGet, "/users/alice/servers/one", "").want(http.StatusNotFound)
	b.as("alice", http.MethodPost, "/users/alice/servers/two", "").want(http.StatusCreated)
	b.as("alice", http.MethodDelete, "/users/alice/servers/two", "").want(http.StatusNoContent)
	b.as("alice", http.MethodDelete, "/users/alice/servers/two", `{"remove": true}`).want(http.StatusNoContent)
	b.as("alice", http.MethodGet, "/users/alice/servers/two", "").want(http.StatusNotFound)
}

func TestNamedServersSwitchedOff(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Limits = hub.Limits{} })
	b.as("alice", http.MethodPost, "/users/alice/servers/one", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodDelete, "/users/alice/servers/one", "").want(http.StatusBadRequest)
	b.as("alice", http.MethodPost, "/users/alice/servers/", "").want(http.StatusCreated)
}

func TestTooManyServers(t *testing.T) {
	t.Parallel()
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		b := newBenchWith(t, api.Options{SlowSpawn: soon}, func(o *hub.Options) { o.Limits.ConcurrentStarts = 1 })
		b.Fake.OnStart = func(scheduler.Spec) {}
		b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusAccepted)
		comesBack(t, b.as("bob", http.MethodPost, "/users/bob/server", "").want(http.StatusTooManyRequests))
	})
	t.Run("in all", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, func(o *hub.Options) { o.Limits.ActiveServers = 1 })
		b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusCreated)
		comesBack(t, b.as("bob", http.MethodPost, "/users/bob/server", "").want(http.StatusTooManyRequests))
	})
}

// comesBack checks that a refused program is told when to try again, also where JupyterHub says nothing of it.
func comesBack(t *testing.T, a answer) {
	t.Helper()
	if s, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || s < 30 || s > 60 {
		t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
	}
}

// events reads a whole progress stream.
func (b *bench) events(who, path string) []map[string]any {
	b.t.Helper()
	s := b.open(who, path)
	var all []map[string]any
	for {
		e, ok := s.next()
		if !ok {
			return all
		}
		all = append(all, e)
	}
}

// events are a stream under way.
type events struct {
	b       *bench
	lines   *bufio.Scanner
	silence int // keep-alives since the last event
}

func (b *bench) open(who, path string) *events {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), hubtest.Patience)
	b.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Public.URL+"/hub/api"+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+b.tokens[who])
	res, err := b.Public.Client().Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = res.Body.Close() })
	same(b.t, "stream", []any{res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control")}, []any{http.StatusOK, "text/event-stream", "no-cache"})
	return &events{b: b, lines: bufio.NewScanner(res.Body)}
}

// next returns the next event, or false at the end of the stream.
func (e *events) next() (map[string]any, bool) {
	e.b.t.Helper()
	e.silence = 0
	for e.lines.Scan() {
		line := e.lines.Text()
		if line == "" {
			e.silence++
			continue
		}
		text, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			e.b.t.Errorf("a line of the stream is %q", line)
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			e.b.t.Fatal(err)
		}
		return m, true
	}
	if err := e.lines.Err(); err != nil {
		e.b.t.Errorf("the stream broke: %v", err)
	}
	return nil, false
}

func TestProgress(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, api.Options{SlowSpawn: soon, KeepAlive: 20 * time.Millisecond})
	for _, path := range []string{"/users/alice/server/progress", "/users/alice/servers//progress"} {
		b.as("alice", http.MethodGet, path, "").want(http.StatusBadRequest) // never started
		b.as("alice", http.MethodGet, strings.Replace(path, "alice", "nobody", 1), "").want(http.StatusNotFound)
	}
	b.as("alice", http.MethodGet, "/users/alice/servers/none/progress", "").want(http.StatusNotFound)

	up := b.Fake.OnStart
	specs := make(chan scheduler.Spec, 1)
	b.Fake.OnStart = func(spec scheduler.Spec) { specs <- spec }
	b.as("alice", http.MethodPost, "/users/alice/server", "").want(http.StatusAccepted)
	spec := <-specs
	stream := b.open("alice", "/users/alice/server/progress")
	first, ok := stream.next()
	same(t, "the first event", []any{ok, first["progress"]}, []any{true, 0.0})
	b.Fake.Say(spec.ID, "The machine is <busy>.")
	for e, ok := stream.next(); e["message"] != "The machine is <busy>."; e, ok = stream.next() {
		if !ok {
			t.Fatal("the scheduler's words are not told")
		}
	}
	time.AfterFunc(10*soon, func() { up(spec) }) // silence first
	last, silence := map[string]any{}, 0
	for e, ok := stream.next(); ok; e, ok = stream.next() {
		last, silence = e, max(silence, stream.silence)
	}
	same(t, "the last event", []any{last["ready"], last["progress"], last["url"]}, []any{true, 100.0, "/user/alice/"})
	if silence < 10 {
		t.Errorf("only %d empty lines kept the silent stream alive", silence)
	}
	same(t, "of a ready server", len(b.events("alice", "/users/alice/servers//progress")), 1)
}
