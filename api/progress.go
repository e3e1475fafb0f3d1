package api

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountProgress(r chi.Router) {
	for _, path := range []string{"/users/{name}/server/progress", "/users/{name}/servers//progress", "/users/{name}/servers/{server}/progress"} {
		r.With(a.need(onServer("read:servers"))).Get(path, a.do(a.progress))
	}
}

// progress tells a start as it happens, as server-sent events. It ends after the event that says ready or failed.
func (a *API) progress(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events, err := a.hub.Progress(ctx, t.user.Name, t.server)
	if hub.KindOf(err) == hub.NotFound {
		return errHidden
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no") // proxies before us shall not wait for more
	w.WriteHeader(http.StatusOK)
	stream{w, http.NewResponseController(w)}.run(ctx, channel(ctx, events), a.opts.KeepAlive)
	return nil
}

// channel runs through the events beside its reader, who can do something else in between. It ends with ctx.
func channel(ctx context.Context, events iter.Seq[hub.ProgressEvent]) <-chan hub.ProgressEvent {
	c := make(chan hub.ProgressEvent)
	go func() {
		defer close(c)
		for e := range events {
			select {
			case c <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	return c
}

// stream writes events to one client.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// keepAlive is what is written where nothing happened, so that neither client nor proxies take the connection for dead.
const keepAlive = "\n\n"

// stall is how long a client may take for one event. There is no limit to the whole, which takes as long as the start does.
const stall = time.Minute

func (s stream) run(ctx context.Context, events <-chan hub.ProgressEvent, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer func() { _ = s.control.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
	ok := s.write([]byte(keepAlive))
	for ok {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ok = s.write([]byte(keepAlive))
		case e, more := <-events:
			if !more {
				return
			}
			ok = s.event(e)
		}
	}
}

func (s stream) event(e hub.ProgressEvent) bool {
	body, err := json.Marshal(e)
	return err == nil && s.write([]byte("data: "+string(body)+"\n\n"))
}

// write sends at once; false if the client is gone.
func (s stream) write(text []byte) bool {
	_ = s.control.SetWriteDeadline(time.Now().Add(stall)) // where it is not supported, the server's own limits hold
	_, err := s.w.Write(text)
	return err == nil && s.control.Flush() == nil
}
