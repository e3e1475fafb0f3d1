package checker

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestAPICall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, at, body string
		server           Server
		kind             Kind
		ok               bool
	}{
		{"POST", "/hub/api/users/ada/server", "", Server{"ada", ""}, Start, true},
		{"POST", "/base/hub/api/users/ada/servers/", "{}", Server{"ada", ""}, Start, true},
		{"DELETE", "/hub/api/users/ada/servers/lab", "", Server{"ada", "lab"}, Stop, true},
		{"DELETE", "/hub/api/users/ada/servers/lab", `{"remove": true}`, Server{"ada", "lab"}, Remove, true},
		{"GET", "/hub/api/users/a%2Fb/servers/c%20d", "", Server{"a/b", "c d"}, Read, true},
		{"PATCH", "/hub/api/users/ada/server", "", Server{"ada", ""}, "", false},
		{"GET", "/hub/api/users/ada/server/progress", "", Server{}, "", false},
		{"POST", "/hub/api/users/ada", "", Server{}, "", false},
		{"POST", "/user/ada/api/users/x/server", "", Server{}, "", false},
	} {
		at, err := url.Parse(c.at)
		if err != nil {
			t.Fatal(err)
		}
		server, kind, ok := APICall(c.method, at, []byte(c.body))
		if server != c.server || kind != c.kind || ok != c.ok {
			t.Errorf("%s %s is %+v, %s, %v", c.method, c.at, server, kind, ok)
		}
	}
}

func TestAPIAnswer(t *testing.T) {
	t.Parallel()
	const state = `"state": {"id": "s1", "generation": 2}`
	for _, c := range []struct {
		kind   Kind
		status int
		body   string
		want   Answer
	}{
		{Start, 201, "", Answer{Verdict: Accepted, Outcome: Up}},
		{Start, 202, "", Answer{Verdict: Accepted}},
		{Start, 400, `{"message": "The server is already running."}`, no(Ready)},
		{Start, 400, `{"message": "The server is being stopped. Start it again when it has stopped."}`, no(Stopping)},
		{Start, 400, `{"message": "The server is being restarted. Wait until it is there again."}`, no(Stopping)},
		{Start, 400, `{"message": "The server's options must be a JSON object."}`, no("")},
		{Start, 429, `{}`, no("")},
		{Start, 404, `{}`, no(Absent)},
		{Start, 500, `{"message": "The server could not be started: it crashed"}`, Answer{Verdict: Accepted, Outcome: Broken}},
		{Start, 500, `{"message": "The start was cancelled, because somebody stopped the server."}`, Answer{Verdict: Accepted, Outcome: Gone}},
		{Start, 500, `{"message": "Internal error"}`, Answer{Verdict: Unknown}},
		{Start, 503, `{}`, Answer{Verdict: Unknown}},
		{Start, 204, "", Answer{Verdict: Accepted, Outcome: Gone}},
		{Stop, 204, "", Answer{Verdict: Accepted, Outcome: Gone}},
		{Stop, 202, "", Answer{Verdict: Accepted}},
		{Stop, 404, "", no(Absent)},
		{Remove, 502, "Bad Gateway", Answer{Verdict: Unknown}},
		{Read, 200, `{"ready": true, ` + state + `}`, ok(row(Ready, 2))},
		{Read, 200, `{"pending": "spawn", ` + state + `}`, ok(row(Starting, 2))},
		{Read, 200, `{"pending": "stop", ` + state + `}`, ok(row(Stopping, 2))},
		{Read, 200, `{"stopped": true, "pending": null, ` + state + `}`, ok(row(Stopped, 2))},
		{Read, 200, `{"stopped": true, "state": {"id": "", "generation": 0}}`, ok(Seen{Phase: Absent})},
		{Read, 200, `not JSON`, Answer{Verdict: Unknown}},
		{Read, 503, `{}`, Answer{Verdict: Unknown}},
	} {
		got := APIAnswer(c.kind, c.status, []byte(c.body))
		if got.Says = ""; got != c.want {
			t.Errorf("%s answered by %d %s is: %s", c.kind, c.status, c.body, got)
		}
	}
}

// lyingHub answers as a hub does that says more than is true.
func lyingHub(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		panic(http.ErrAbortHandler) // the connection is cut
	default:
		_, _ = io.WriteString(w, `{"ready": true, "state": {"id": "s1", "generation": 2}}`)
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(lyingHub))
	t.Cleanup(server.Close)
	h := New(Options{})
	client := &http.Client{Transport: Transport{History: h, Client: "script"}, Timeout: time.Minute}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodGet} {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/hub/api/users/ada/servers/lab", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if (err != nil) != (method == http.MethodDelete) {
			t.Errorf("%s: %v", method, err)
		}
		if err != nil {
			continue
		}
		text, err := io.ReadAll(res.Body)
		if err != nil || method == http.MethodGet && !strings.Contains(string(text), "ready") {
			t.Errorf("%s is answered with %q, %v", method, text, err)
		}
		_ = res.Body.Close()
	}
	err := h.Check(time.Minute)
	if err == nil {
		t.Fatal("a generation that nobody started is not found")
	}
	for _, part := range []string{"ada/lab", "start    accepted, up, «Created»", "stop     unknown, «", "> ", "read     accepted, ready generation 2 id s1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in\n%v", part, err)
		}
	}
}
