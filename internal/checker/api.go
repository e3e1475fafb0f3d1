package checker

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Transport records what goes through it to the REST API about servers. The rest passes by.
type Transport struct {
	History *History
	Client  string            // who asks, for people
	Base    http.RoundTripper // nil: http.DefaultTransport
}

var _ http.RoundTripper = Transport{}

// RoundTrip sends the request. It returns with the whole answer, since only that is an answer.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	at, kind, ok := APICall(req.Method, req.URL, body)
	if !ok {
		return base.RoundTrip(req)
	}
	call := t.History.Begin(t.Client, at, kind)
	res, err := base.RoundTrip(req)
	if err != nil {
		call.Lost(err.Error())
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		call.Lost(err.Error())
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(answer))
	call.End(APIAnswer(kind, res.StatusCode, answer))
	return res, nil
}

// bodyOf reads what the request carries, which stays as it is.
func bodyOf(req *http.Request) ([]byte, error) {
	if req.GetBody == nil {
		return nil, nil
	}
	r, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

var serverPath = regexp.MustCompile(`/hub/api/users/([^/]+)/(?:server|servers/([^/]*))$`)

// APICall tells what a request to the REST API asks of which server; false if it is not about one.
func APICall(method string, at *url.URL, body []byte) (Server, Kind, bool) {
	m := serverPath.FindStringSubmatch(at.EscapedPath())
	if m == nil {
		return Server{}, "", false
	}
	user, err1 := url.PathUnescape(m[1])
	name, err2 := url.PathUnescape(m[2])
	if err1 != nil || err2 != nil {
		return Server{}, "", false
	}
	var stop struct{ Remove bool }
	kind, ok := map[string]Kind{http.MethodPost: Start, http.MethodDelete: Stop, http.MethodGet: Read}[method]
	if kind == Stop && json.Unmarshal(body, &stop) == nil && stop.Remove {
		kind = Remove
	}
	return Server{user, name}, kind, ok
}

// APIAnswer reads an answer of the REST API.
func APIAnswer(kind Kind, status int, body []byte) Answer {
	a := Answer{Verdict: Unknown, Says: says(status, body)}
	switch {
	case status == http.StatusNotFound: // of the server, or of its user with all servers
		a.Verdict, a.Seen = Refused, Seen{Phase: Absent}
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError:
		a.Verdict = Refused
		if kind == Start {
			a.Seen = refusedIn(a.Says)
		}
	case kind == Read && status == http.StatusOK:
		if seen, ok := APIServer(body); ok {
			a = Answer{Verdict: Accepted, Seen: seen}
		}
	case kind == Start && status == http.StatusCreated:
		a.Verdict, a.Outcome = Accepted, Up
	case kind == Start && status == http.StatusInternalServerError && strings.Contains(a.Says, "could not be started: "):
		a.Verdict, a.Outcome = Accepted, Broken
	case kind == Start && status == http.StatusInternalServerError && strings.Contains(a.Says, "start was cancelled"):
		a.Verdict, a.Outcome = Accepted, Gone
	case kind != Read && status == http.StatusNoContent:
		a.Verdict, a.Outcome = Accepted, Gone
	case status == http.StatusAccepted:
		a.Verdict = Accepted
	}
	return a
}

// refusedIn is what a start that is refused tells about the server.
func refusedIn(message string) Seen {
	for words, phase := range map[string]Phase{"already running": Ready, "being stopped": Stopping, "being restarted": Stopping} {
		if strings.Contains(message, words) {
			return Seen{Phase: phase}
		}
	}
	return Seen{}
}

// APIServer reads a server as the API shows it to administrators.
func APIServer(text []byte) (Seen, bool) {
	var s struct {
		Ready, Stopped bool
		Pending        string
		State          struct {
			ID         string
			Generation int64
		}
	}
	if json.Unmarshal(text, &s) != nil {
		return Seen{}, false
	}
	seen := Seen{ID: s.State.ID, Generation: s.State.Generation}
	switch {
	case s.Stopped && s.State.ID == "": // a default server that was never started
		seen.Phase = Absent
	case s.Stopped:
		seen.Phase = Stopped
	case s.Ready:
		seen.Phase = Ready
	case s.Pending == "spawn":
		seen.Phase = Starting
	case s.Pending == "stop":
		seen.Phase = Stopping
	default:
		return Seen{}, false
	}
	return seen, true
}

// maxSays bounds what is kept of an answer's text, in bytes.
const maxSays = 200

func says(status int, body []byte) string {
	var said struct{ Message string }
	text := http.StatusText(status)
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		text = said.Message
	}
	return text[:min(len(text), maxSays)]
}
