package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"iter"
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
		url := h.urls.ServerURL(s.UserName, s.Name)
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
