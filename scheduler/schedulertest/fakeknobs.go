package schedulertest

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Place gives a pending server a new instance at the address. Unknown servers are ignored here and in all knobs.
func (f *Fake) Place(id, address string) {
	f.change(id, "The server has a place.", func(s *fakeServer) {
		s.status.Instance, s.status.Address = f.world.newInstance(), address
		s.status.Placement = f.world.placed
		s.status.Blocked, s.status.Reason = false, ""
	})
}

// Run says that the server's process runs.
func (f *Fake) Run(id string) {
	f.change(id, "The server was started.", func(s *fakeServer) {
		s.status.State, s.status.Began = scheduler.Running, time.Now().Round(0).UTC()
	})
}

// Kill ends a server with that reason, a sentence; it stays listed as dead.
func (f *Fake) Kill(id, reason string) {
	f.change(id, reason, func(s *fakeServer) {
		s.status.State, s.status.Reason, s.status.Blocked, s.status.Lost = scheduler.Dead, reason, false, false
		s.status.Ended = time.Now().Round(0).UTC()
	})
}

// Block says that there is no room for the server, with a sentence.
func (f *Fake) Block(id, reason string) {
	f.change(id, reason, func(s *fakeServer) { s.status.Blocked, s.status.Reason = true, reason })
}

// Lose says whether the contact with the server's machine is lost.
func (f *Fake) Lose(id string, lost bool) {
	message := map[bool]string{true: "The contact with the server's machine is lost.", false: "The server's machine is back."}[lost]
	f.change(id, message, func(s *fakeServer) { s.status.Lost = lost })
}

// Forget removes a server as an operator's purge does: no hook is called.
func (f *Fake) Forget(id string) {
	f.change(id, "An operator removed the server.", func(s *fakeServer) {
		s.status.State, s.status.Reason = scheduler.Dead, "An operator removed the server."
		delete(f.world.servers, id)
	})
}

// Adopt puts a server in that no Start of this Fake made, as one that ran before the hub did.
func (f *Fake) Adopt(spec scheduler.Spec, status scheduler.Status) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	status.ID, status.Generation = spec.ID, spec.Generation
	f.world.servers[spec.ID] = &fakeServer{spec: spec, status: status}
	f.world.placed = max(f.world.placed, status.Placement)
}

// Say tells a sentence about the server without changing it.
func (f *Fake) Say(id, message string) { f.change(id, message, func(*fakeServer) {}) }

// Print appends lines to the server's log.
func (f *Fake) Print(id string, lines ...string) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if s := f.world.servers[id]; s != nil {
		s.log = append(s.log, lines...)
	}
}

// FailStart makes every Start fail with err, until it is called with nil.
func (f *Fake) FailStart(err error) { f.set(func(w *world) { w.failStart = err }) }

// FailStop makes every Stop fail with err, until it is called with nil.
func (f *Fake) FailStop(err error) { f.set(func(w *world) { w.failStop = err }) }

// FailList makes List and Status fail with err, until it is called with nil.
func (f *Fake) FailList(err error) { f.set(func(w *world) { w.failList = err }) }

// DropEvents makes Watch lose what happens from now on, until it is called with false; no watcher is told.
func (f *Fake) DropEvents(drop bool) { f.set(func(w *world) { w.deaf = drop }) }

// Resync tells every watcher that events may have been missed.
func (f *Fake) Resync() {
	f.set(func(w *world) {
		for _, watcher := range w.watchers {
			watcher.push(scheduler.Event{Resync: true})
		}
	})
}

// Spec returns what the running server was started with.
func (f *Fake) Spec(id string) (scheduler.Spec, bool) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	s := f.world.servers[id]
	if s == nil {
		return scheduler.Spec{}, false
	}
	return s.spec, true
}

// Starts returns how many starts of that server were accepted.
func (f *Fake) Starts(id string) int {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	return f.world.starts[id]
}

func (f *Fake) set(change func(*world)) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	change(f.world)
}

func (f *Fake) change(id, message string, change func(*fakeServer)) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if s := f.world.servers[id]; s != nil {
		change(s)
		f.world.tell(s, message)
	}
}

// tell sends the server's status to every watcher. The caller holds mu.
func (w *world) tell(s *fakeServer, message string) {
	event := func() scheduler.Event {
		status := s.status
		return scheduler.Event{ID: status.ID, Generation: status.Generation, Time: time.Now(), Message: message, Status: &status}
	}
	if len(s.events) < maxEvents {
		s.events = append(s.events, event())
	}
	if w.deaf {
		return
	}
	for _, watcher := range w.watchers {
		watcher.push(event())
	}
}

// maxEvents bounds what is remembered of one server.
const maxEvents = 100

// watcherLimit bounds what one slow watcher may have waiting.
const watcherLimit = 10_000

// fakeWatcher is the queue of one Watch. world.mu guards queue.
type fakeWatcher struct {
	queue []scheduler.Event
	more  chan struct{}
}

func (w *fakeWatcher) push(event scheduler.Event) {
	if len(w.queue) >= watcherLimit {
		w.queue, event = w.queue[:0], scheduler.Event{Resync: true}
	}
	w.queue = append(w.queue, event)
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// Watch implements scheduler.Scheduler.
func (f *Fake) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		watcher := &fakeWatcher{more: make(chan struct{}, 1)}
		f.set(func(w *world) {
			w.watchers = append(w.watchers, watcher)
			watcher.push(scheduler.Event{Resync: true})
		})
		defer f.set(func(w *world) {
			w.watchers = slices.DeleteFunc(w.watchers, func(other *fakeWatcher) bool { return other == watcher })
		})
		for {
			select {
			case <-ctx.Done():
				return
			case <-watcher.more:
			}
			for _, event := range f.take(watcher) {
				if ctx.Err() != nil || !yield(event, nil) {
					return
				}
			}
		}
	}
}

func (f *Fake) take(watcher *fakeWatcher) (events []scheduler.Event) {
	f.set(func(*world) { events, watcher.queue = watcher.queue, nil })
	return events
}
