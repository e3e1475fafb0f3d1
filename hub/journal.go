package hub

import (
	"context"
	"sync"
	"time"
)

const (
	maxJournal  = 100  // how many events of one start are remembered
	maxJournals = 5000 // how many servers are remembered for certain; up to as many again may be
	// journalAge is for how long a server is remembered for certain that nobody waits for and of which nothing is heard; it may be twice as long.
	journalAge = 5 * time.Minute
)

// journal is what happened to one server in its present generation.
type journal struct {
	generation int64
	progress   int
	events     []said
	changed    chan struct{} // closed and replaced at each change
	row        *Server       // as this process wrote it, and nobody else since as far as is known here; nil: ask the database
	written    int64         // how often this process did
	touched    int64         // how often somebody else changed the row, or may have
}

// What is said of a start that was asked for, and of a stop.
const (
	messageBegun    = "Start requested."
	messageStopping = "Stopping the server."
)

// said is one message of a journal, and how far the bar was then.
type said struct {
	progress int
	message  string
}

// journals are this replica's memory of starts. They are for people to watch; nothing is decided by them, so those of servers that have come to rest are dropped
// when nobody watches, and others that nobody asked for or added to for long.
type journals struct {
	awaited func(id string) bool // whether anybody watches the server

	mu    sync.Mutex
	of    map[string]*journal
	older map[string]*journal // not used since of was begun
	begun time.Time           // when of was
}

func (j *journals) init(awaited func(id string) bool) {
	j.awaited, j.of, j.begun = awaited, map[string]*journal{}, time.Now()
}

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
		j.turn()
	}
	j.of[id] = e
	return e
}

// turn drops what was not used since the last call; the caller holds mu.
func (j *journals) turn() {
	for _, dropped := range j.older {
		dropped.wake() // who waits for it comes back and begins another one
	}
	j.of, j.older, j.begun = map[string]*journal{}, j.of, time.Now()
}

// age drops what nobody used for long, but for the servers that somebody waits for.
func (j *journals) age(awaited []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if time.Since(j.begun) < journalAge || len(j.of)+len(j.older) == 0 {
		return
	}
	for _, id := range awaited {
		j.get(id)
	}
	j.turn()
}

// say adds a message about something that was written to the server's row; percent 0 leaves the bar where it is. What was said last is not said twice in a row.
func (j *journals) say(s Server, percent int, message string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(s.ID)
	e.touch()
	e.add(s.Generation, percent, message)
}

// mention adds a message about something that is not in the row.
func (j *journals) mention(s Server, percent int, message string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.get(s.ID).add(s.Generation, percent, message)
}

func (e *journal) add(generation int64, percent int, message string) {
	if generation > e.generation {
		e.generation, e.progress, e.events = generation, 0, nil
	}
	if generation == e.generation {
		e.progress = max(e.progress, percent)
		if n := len(e.events); message != "" && (n == 0 || e.events[n-1].message != message) && n < maxJournal {
			e.events = append(e.events, said{e.progress, message})
		}
	}
	e.wake()
}

// touch notes that the row is not what this process knows; the caller holds mu.
func (e *journal) touch() { e.touched, e.row = e.touched+1, nil }

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
	e.touch()
	e.wake()
}

// wrote hands the row to waiters as this process wrote it, with a message unless that is "". A server that has come to rest is forgotten, if nobody watches.
func (j *journals) wrote(s Server, percent int, message string) {
	watched := s.Pending() != "" || j.awaited(s.ID)
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(s.ID)
	if e.row == nil || s.Revision > e.row.Revision {
		e.row = &s
	}
	e.written++
	e.add(s.Generation, percent, message)
	if !watched {
		j.drop(s.ID)
	}
}

// left forgets a server that has come to rest, since nobody watches it any more.
func (j *journals) left(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, all := range []map[string]*journal{j.of, j.older} {
		if e := all[id]; e != nil && e.row != nil && e.row.Pending() == "" {
			j.drop(id)
		}
	}
}

// forget drops the journal of a server that is gone.
func (j *journals) forget(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop(id)
}

// drop forgets a server; the caller holds mu.
func (j *journals) drop(id string) {
	for _, all := range []map[string]*journal{j.of, j.older} {
		if e := all[id]; e != nil {
			e.wake()
			delete(all, id)
		}
	}
}

// since returns what was added to the generation's journal after the first n events.
func (j *journals) since(id string, generation int64, n int) []ProgressEvent {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(id)
	if e.generation != generation || n >= len(e.events) {
		return nil
	}
	out := make([]ProgressEvent, 0, len(e.events)-n)
	for _, s := range e.events[n:] {
		out = append(out, ProgressEvent{Progress: s.progress, Message: s.message})
	}
	return out
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

// from has the reader begin with the row that the caller has just written, if this process knows of no other write since.
func (r *rowReader) from(s Server) {
	j := &r.h.journals
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.get(r.id)
	if e.row != nil && e.row.Revision >= s.Revision {
		r.journal, r.touched, r.written, r.last, r.known = e, e.touched, e.written, *e.row, true
	}
}

// next returns the row, and a channel that is closed when there may be news of the server. The error wraps ErrNotFound if the row is gone; last is then what it was.
func (r *rowReader) next(ctx context.Context) (s Server, changed <-chan struct{}, err error) {
	j := &r.h.journals
	j.mu.Lock()
	e := j.get(r.id)
	changed = e.changed
	ask := !r.known || e != r.journal || e.touched != r.touched
	if !ask && e.written != r.written && e.row != nil && e.row.Revision > r.last.Revision {
		r.last = *e.row
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
