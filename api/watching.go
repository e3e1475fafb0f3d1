package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// mountWatching adds what is to be seen of a server beside its state, and what its owner may do about a machine that is being emptied. A log may hold what only its owner shall see, so it needs more than reading about
// the server: the right over it.
func (a *API) mountWatching(r chi.Router) {
	for _, path := range []string{"/users/{name}/server", "/users/{name}/servers/", "/users/{name}/servers/{server}"} {
		r.With(a.need(onServer("servers"))).Get(path+"/log", a.do(a.getLog))
		r.With(a.need(onServer("servers"))).Get(path+"/history", a.do(a.getHistory))
		r.With(a.need(onServer("read:servers"))).Get(path+"/usage", a.do(a.getUsage))
		r.With(a.need(onServer("servers"))).Post(path+"/move", a.do(a.moveServer))
	}
}

const (
	// defaultTail is how much of a log is shown where nobody says how much, in bytes.
	defaultTail   = 64 << 10
	usageInterval = 2 * time.Second
	// usageSpan is how long usage is told on one connection. Browsers connect anew by themselves.
	usageSpan = time.Hour
	// maxWatching bounds what one user has open at once of logs that are followed and usage that is watched, and maxWatchingAll what all have.
	maxWatching, maxWatchingAll = 12, 500
)

// watchers counts who has streams open, by user.
type watchers struct {
	mu  sync.Mutex
	of  map[string]int
	all int
}

// enter counts another stream of the caller until leave is called, or refuses it.
func (w *watchers) enter(p hub.Principal) (leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := p.User.ID
	if p.Service != nil {
		id = "service " + p.Service.Name
	}
	if w.of[id] >= maxWatching || w.all >= maxWatchingAll {
		return nil, tooManyWatch()
	}
	if w.of == nil {
		w.of = map[string]int{}
	}
	w.of[id]++
	w.all++
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.all--
		if w.of[id]--; w.of[id] == 0 {
			delete(w.of, id)
		}
	}), nil
}

// logRequest is the query of a request for a log.
type logRequest struct {
	scheduler.LogQuery
	download bool
}

func readLogRequest(r *http.Request) (logRequest, error) {
	q := r.URL.Query()
	var l logRequest
	switch q.Get("stream") {
	case "", "stderr": // where Jupyter writes
		l.Errors = true
	case "stdout":
	default:
		return l, hub.Errorf(hub.Invalid, "The stream is stdout or stderr.")
	}
	var err error
	for name, flag := range map[string]*bool{"follow": &l.Follow, "download": &l.download} {
		if given := q.Get(name); given != "" {
			if *flag, err = strconv.ParseBool(given); err != nil {
				return l, hub.Errorf(hub.Invalid, "%s is 1 or 0.", name)
			}
		}
	}
	if !l.download {
		l.Tail = defaultTail
	}
	if given := q.Get("tail"); given != "" {
		if l.Tail, err = strconv.ParseInt(given, 10, 64); err != nil || l.Tail < 0 || l.Tail > maxNumber {
			return l, hub.Errorf(hub.Invalid, "The tail is a number of bytes; 0 is the whole log.")
		}
	}
	return l, nil
}

// getLog answers with the log as text: for reading without escape sequences, for a download as it is.
func (a *API) getLog(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	l, err := readLogRequest(r)
	if err != nil {
		return err
	}
	leave, err := a.watchers.enter(httpd.Principal(r))
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	log, err := a.hub.Log(ctx, t.user.Name, t.server, l.LogQuery)
	if err != nil {
		return err
	}
	defer log.Close()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies before us shall not wait for more
	var text io.Reader = log
	if l.download {
		h.Set("Content-Disposition", `attachment; filename="`+logName(t, l)+`"`)
	} else {
		text = &plainText{from: log}
	}
	w.WriteHeader(http.StatusOK)
	s := stream{w, http.NewResponseController(w)}
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
	if s.write(nil) {
		_, _ = io.Copy(flushing{s}, text) // what is there was sent; who gets less than all sees the connection cut or asks again
	}
	return nil
}

// logName is a file's name of the most harmless characters.
func logName(t target, l logRequest) string {
	kind := "stdout"
	if l.Errors {
		kind = "stderr"
	}
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, strings.TrimSuffix(t.user.Name+"-"+t.server, "-"))
	return name + "." + kind + ".log"
}

// flushing sends each piece at once.
type flushing struct{ stream }

var errClientGone = errors.New("the client is gone")

func (f flushing) Write(text []byte) (int, error) {
	if !f.write(text) {
		return 0, errClientGone
	}
	return len(text), nil
}

// usageView is what a server uses. A limit that there is not is null.
type usageView struct {
	Time        any          `json:"time"`
	CPUCores    float64      `json:"cpu_cores"`
	MemoryBytes int64        `json:"memory_bytes"`
	MemoryLimit *int64       `json:"memory_limit_bytes"`
	Devices     []deviceView `json:"devices"`
}

type deviceView struct {
	Name   string            `json:"name"`
	ID     string            `json:"id"`
	Values map[string]string `json:"values"`
}

func viewUsage(u scheduler.Usage) usageView {
	v := usageView{Time: timestamp(u.Time), CPUCores: u.CPU, MemoryBytes: u.MemoryBytes, Devices: []deviceView{}}
	if u.MemoryLimit > 0 {
		v.MemoryLimit = &u.MemoryLimit
	}
	for _, d := range u.Devices {
		v.Devices = append(v.Devices, deviceView(d))
	}
	return v
}

// getUsage answers with what the server uses now; to who asks for events, every two seconds until the server no longer runs.
func (a *API) getUsage(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return a.watchUsage(w, r, t)
	}
	usage, err := a.hub.Usage(r.Context(), t.user.Name, t.server)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpd.JSON(w, http.StatusOK, viewUsage(usage))
}

func (a *API) watchUsage(w http.ResponseWriter, r *http.Request, t target) error {
	leave, err := a.watchers.enter(httpd.Principal(r))
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), usageSpan)
	defer cancel()
	feed, leaveFeed, err := a.usage.watch(ctx, usageOf{t.user.Name, t.server})
	if err != nil {
		return err
	}
	defer leaveFeed()
	told, newer, ok := feed.next(ctx, nil)
	if !ok {
		return ctx.Err()
	}
	if told.err != nil {
		return told.err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := stream{w, http.NewResponseController(w)}
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
	for ok && s.tellUsage(told) {
		told, newer, ok = feed.next(ctx, newer)
	}
	return nil
}

// tellUsage passes one answer on, and tells whether there is more to come.
func (s stream) tellUsage(told usageTold) bool {
	switch {
	case told.err == nil:
		body, err := json.Marshal(viewUsage(told.usage))
		return err == nil && s.write([]byte("data: "+string(body)+"\n\n"))
	case hub.KindOf(told.err) == hub.NotFound:
		s.write([]byte("event: end\ndata: {\"message\": \"The server does not run any more.\"}\n\n"))
		return false
	}
	return s.write([]byte(keepAlive)) // its machine does not answer; the server may still run
}

// eventView is one thing that happened to a server.
type eventView struct {
	Time    any    `json:"time"`
	Run     int64  `json:"run"` // counts the starts of the server
	Message string `json:"message"`
	State   string `json:"state,omitempty"` // after it, where that is known
	Cause   string `json:"cause,omitempty"`
	Node    string `json:"node,omitempty"`
}

// getHistory answers with what happened to the server in the cluster, oldest first.
func (a *API) getHistory(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	events, err := a.hub.History(r.Context(), t.user.Name, t.server)
	if err != nil {
		return err
	}
	views := make([]eventView, 0, len(events))
	for _, e := range events {
		v := eventView{Time: timestamp(e.Time), Run: e.Generation, Message: e.Message}
		if e.Status != nil {
			v.State, v.Cause, v.Node = string(e.Status.State), string(e.Status.Cause), e.Status.Node
		}
		views = append(views, v)
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpd.JSON(w, http.StatusOK, views)
}
