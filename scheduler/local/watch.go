package local

import (
	"context"
	"iter"
	"sync"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxQueued bounds what waits for one slow watcher; one that falls behind further is told to list again.
const maxQueued = 256

// Watch implements [scheduler.Scheduler]. Its errors are always nil.
func (s *Scheduler) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		l := s.news.join()
		defer s.news.leave(l)
		for {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			}
			for _, event := range l.take() {
				if ctx.Err() != nil || !yield(event, nil) {
					return
				}
			}
		}
	}
}

// broadcast hands events to all watchers and waits for none of them. The zero value is ready.
type broadcast struct {
	mu        sync.Mutex
	listeners map[*listener]struct{}
}

// listener is one watcher's queue.
type listener struct {
	wake chan struct{} // has a token while there is something to take

	mu    sync.Mutex
	queue []scheduler.Event
}

// join adds a watcher, whose first event is a resync.
func (b *broadcast) join() *listener {
	l := &listener{wake: make(chan struct{}, 1)}
	l.put(scheduler.Event{Resync: true})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listeners == nil {
		b.listeners = make(map[*listener]struct{})
	}
	b.listeners[l] = struct{}{}
	return l
}

func (b *broadcast) leave(l *listener) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.listeners, l)
}

func (b *broadcast) publish(event scheduler.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		l.put(event)
	}
}

func (l *listener) put(event scheduler.Event) {
	l.mu.Lock()
	if len(l.queue) >= maxQueued {
		l.queue = []scheduler.Event{{Resync: true}}
	}
	l.queue = append(l.queue, event)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default: // it has a token already
	}
}

func (l *listener) take() []scheduler.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := l.queue
	l.queue = nil
	return events
}
