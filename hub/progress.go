package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"iter"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// ProgressEvent is one step of a start, as told to the person who waits. Its JSON is JupyterHub's, with more beside it.
type ProgressEvent struct {
	Progress    int      `json:"progress"`
	Message     string   `json:"message,omitempty"`
	HTMLMessage string   `json:"html_message,omitempty"`
	Ready       bool     `json:"ready,omitempty"`
	Failed      bool     `json:"failed,omitempty"`
	URL         string   `json:"url,omitempty"`
	Log         []string `json:"log,omitempty"` // on failure: the last lines that the server printed

	// Position is the place in the queue while the start waits, from 1; Of is how many wait for the same. Waiting says for what.
	Position int   `json:"position,omitempty"`
	Of       int   `json:"of,omitempty"`
	Waiting  *Wait `json:"waiting,omitempty"`
	// Cause is why it failed, for programs; Offer are the user_options of a start that would not meet the same end.
	Cause scheduler.Cause `json:"cause,omitempty"`
	Offer json.RawMessage `json:"offer,omitempty"`
}

const (
	maxJournal  = 100  // how many events of one start are remembered
	maxJournals = 5000 // how many servers are remembered for certain; up to as many again may be
)

// journal is what happened to one server in its present generation.
type journal struct {
	generation int64
	progress   int
	events     []ProgressEvent
	changed    chan struct{} // closed and replaced at each change
	row        Server        // as the server's worker in this process last wrote it
	written    int64         // how often it did
	touched    int64         // how often somebody else changed the row, or may have
}

// journals are this replica's memory of starts. They are for people to watch; nothing is decided by them, so those that nobody asked for or added to for long
// are dropped.
type journals struct {
	mu    sync.Mutex
	of    map[string]*journal
	older map[string]*journal // not used since of was begun
}

func (j *journals) init() { j.of = map[string]*journal{} }

// get returns the journal of the server; the caller holds mu.
func (j *journals) get(id string) *journal {
	if e := j.of[id]; e != nil {
		return e
	}
	e := j.older[id]
	if e == nil {
		e = &journal{changed: make(chan struct{})}
	}
	delete(j.older, id)
	if len(j.of) >= maxJournals {
		for _, dropped := range j.older {
			dropped.wake() // who waits for it comes back and begins another one
		}
		j.of, j.older = map[string]*journal{}, j.of
	}
	j.of[id] = e
	return e
}

// begin opens the journal of a new generation.
func (j *journals) begin(s Server) { j.say(s, 0, "Start requested.") }

// say adds a message about something that was written to the server's row; percent 0 leaves the bar where it is. What was said last is not said twice in a row.
func (j *journals) say(s Server, percent int, message string) { j.add(s, percent, message, true) }

// mention adds a message about something that is not in the row.
func (j *journals) mention(s Server, percent int, message string) { j.add(s, percent, message, false) }

func (j *journals) add(s Server, percent int, message string, touched bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(s.ID)
	if touched {
		e.touched++
	}
	if s.Generation > e.generation {
		e.generation, e.progress, e.events = s.Generation, 0, nil
	}
	if s.Generation < e.generation {
		return
	}
	e.progress = max(e.progress, percent)
	if n := len(e.events); message != "" && (n == 0 || e.events[n-1].Message != message) && n < maxJournal {
		e.events = append(e.events, ProgressEvent{Progress: e.progress, Message: message})
	}
	e.wake()
}

// wake tells waiters that the server's row or journal changed; the caller holds mu.
func (e *journal) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// touch wakes waiters without a message.
func (j *journals) touch(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(id)
	e.touched++
	e.wake()
}

// wrote hands the row to waiters as this process wrote it.
func (j *journals) wrote(s Server) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(s.ID)
	e.row, e.written = s, e.written+1
	e.wake()
}

// rowReader follows one server's row for one waiter. It asks the database only for what this process does not know.
type rowReader struct {
	h       *Hub
	id      string
	waiter  *rowWaiter
	journal *journal // whose changes are counted
	touched int64
	written int64
	last    Server
	known   bool
}

// next returns the row, and a channel that is closed when there may be news of the server. The error wraps ErrNotFound if the row is gone; last is then what it was.
func (r *rowReader) next(ctx context.Context) (s Server, changed <-chan struct{}, err error) {
	j := &r.h.journals
	j.mu.Lock()
	e := j.get(r.id)
	changed = e.changed
	ask := !r.known || e != r.journal || e.touched != r.touched
	if !ask && e.written != r.written && e.row.Revision > r.last.Revision {
		r.last = e.row
	}
	r.journal, r.touched, r.written = e, e.touched, e.written
	j.mu.Unlock()
	if ask {
		r.known = false
		if s, err = r.h.store.ServerByID(ctx, r.id); err != nil {
			return r.last, changed, err
		}
		r.last, r.known = s, true
	}
	r.waiter.saw(r.last)
	return r.last, changed, nil
}

// since returns what was added to the generation's journal after the first n events.
func (j *journals) since(id string, generation int64, n int) []ProgressEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(id)
	if e.generation != generation || n >= len(e.events) {
		return nil
	}
	return append([]ProgressEvent(nil), e.events[n:]...)
}

// forget drops the journal of a server that is gone.
func (j *journals) forget(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.get(id).wake()
	delete(j.of, id)
}

// Progress tells a start as it happens, from its beginning, and ends with an event that is Ready or Failed. A start that this replica did not make, or has
// forgotten, is told from now on. It fails with an Invalid [Error] for a server that is neither starting nor ready and never failed.
func (h *Hub) Progress(ctx context.Context, userName, serverName string) (iter.Seq[ProgressEvent], error) {
	s, err := h.Server(ctx, userName, serverName)
	if err != nil {
		return nil, err
	}
	if s.State == Stopped && s.Failure == nil {
		return nil, Errorf(Invalid, "The server is not starting. Start it first.")
	}
	return func(yield func(ProgressEvent) bool) { h.follow(ctx, s, yield) }, nil
}

// placeInterval is how often the place in the queue is told anew, if it has changed.
const placeInterval = 2 * time.Second

// follower tells one start to one watcher, who may be slow: what is not yet told stays in the journal, which is bounded, and nothing waits for the watcher.
type follower struct {
	h     *Hub
	s     Server // as it was when its present start began to be followed
	told  int    // events of the journal
	place ProgressEvent
	yield func(ProgressEvent) bool
}

func (h *Hub) follow(ctx context.Context, s Server, yield func(ProgressEvent) bool) {
	waiter := h.rows.join(s.ID)
	defer waiter.leave()
	rows := rowReader{h: h, id: s.ID, waiter: waiter}
	f := &follower{h: h, s: s, yield: yield}
	if s.State == Starting && len(h.journals.since(s.ID, s.Generation, 0)) == 0 && !yield(ProgressEvent{Message: "The server is starting."}) {
		return
	}
	tick := time.NewTicker(placeInterval)
	defer tick.Stop()
	for {
		now, changed, err := rows.next(ctx)
		if errors.Is(err, ErrNotFound) {
			now, err = Server{State: Stopped}, nil
		}
		if err == nil {
			if !f.tell(ctx, now) {
				return
			}
		}
		if !f.await(ctx, now, err == nil, changed, tick.C) {
			return
		}
	}
}

// await waits until there may be something new in the row, and meanwhile tells of the place in the queue, which moves though nothing is written.
func (f *follower) await(ctx context.Context, now Server, known bool, changed <-chan struct{}, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-changed:
			return true
		case <-tick:
			if !known {
				return true
			}
			if !f.tellPlace(ctx, now) {
				return false
			}
		}
	}
}

// tell passes on what is new, and tells whether there is more to come.
func (f *follower) tell(ctx context.Context, now Server) bool {
	if f.s.Restart != nil && now.Generation > f.s.Generation { // what was to come after the stop has begun
		f.s, f.told = now, 0
	}
	final, done := f.h.finalEvent(now, f.s.Generation)
	if !done || f.s.State == Starting {
		for _, e := range f.h.journals.since(f.s.ID, f.s.Generation, f.told) {
			f.told++
			if !f.yield(e) {
				return false
			}
		}
	}
	if done {
		f.yield(final)
		return false
	}
	return f.tellPlace(ctx, now)
}

// tellPlace tells where in the queue the start stands, if that is news.
func (f *follower) tellPlace(ctx context.Context, now Server) bool {
	place, err := f.h.QueuePlace(ctx, now)
	if err != nil || place == nil {
		return ctx.Err() == nil
	}
	e := ProgressEvent{Position: place.Position, Of: place.Of, Waiting: &place.Wait, Message: place.Wait.Reason}
	if place.Position > 0 {
		e.Message = fmt.Sprintf("Number %d of %d in the queue. %s", place.Position, place.Of, place.Wait.Reason)
	}
	if f.place.Message == e.Message {
		return true
	}
	f.place = e
	return f.yield(e)
}

// finalEvent is the last event of a start, once it is known.
func (h *Hub) finalEvent(s Server, generation int64) (ProgressEvent, bool) {
	switch {
	case s.State == Ready && s.Generation == generation:
		url := h.urls.Server(s.UserName, s.Name)
		return ProgressEvent{
			Progress: 100, Ready: true, URL: url, Message: "Server ready at " + url,
			HTMLMessage: `Server ready at <a href="` + html.EscapeString(url) + `">` + html.EscapeString(url) + `</a>`,
		}, true
	case s.Failure != nil && s.Generation == generation && s.State == Stopping:
		return ProgressEvent{}, false // told when it may be started again
	case s.Failure != nil && s.Generation == generation && s.State == Stopped:
		return ProgressEvent{
			Progress: 100, Failed: true, Message: "Spawn failed: " + s.Failure.Message, Log: s.Failure.Log,
			Cause: s.Failure.Cause, Offer: s.Failure.Offer,
		}, true
	case s.Restart != nil && s.Generation == generation && s.State == Stopping:
		return ProgressEvent{}, false // it starts again
	case s.State == Stopping || s.State == Stopped || s.Generation != generation:
		return ProgressEvent{Progress: 100, Failed: true, Message: "Spawn cancelled: the server was stopped."}, true
	}
	return ProgressEvent{}, false
}
