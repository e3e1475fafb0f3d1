package hub_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/checker/hubcalls"
)

// TestF07_RestartOfAServerThatIsRemovedMeanwhileStartsItAnew: a person who asks for a restart is not told that the server they see does not exist.
func TestF07_RestartOfAServerThatIsRemovedMeanwhileStartsItAnew(t *testing.T) {
	t.Parallel()
	var removeMeanwhile atomic.Bool
	var h hubcalls.Hub
	b := newBench(t, func(o *hub.Options) {
		o.Store = rivalStore{o.Store, func(s hub.Server) {
			if !removeMeanwhile.CompareAndSwap(true, false) {
				return
			}
			ctx := context.WithoutCancel(t.Context())
			if _, err := h.StopServer(ctx, "alice", "lab", true); err != nil {
				t.Error(err)
			}
			if _, err := h.AwaitServer(ctx, s.ID, func(s hub.Server) bool { return s.State == hub.Stopped }); err != nil {
				t.Error(err)
			}
		}}
	})
	h = hubcalls.Hub{Hub: b.hub, History: checker.New(checker.Options{Model: checker.Model{Steady: true}}), Client: "alice"}
	b.placeAt(notebook(t))
	b.login("alice")
	first, err := h.StartServer(t.Context(), "alice", "lab", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.awaitState(first.ID, hub.Ready)
	removeMeanwhile.Store(true)
	next, err := h.RestartServer(t.Context(), hub.StartRequest{User: "alice", Server: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	if next.ID == first.ID || next.Generation != 1 {
		t.Errorf("the restart of a server whose record is gone gives %+v", next)
	}
	b.awaitState(next.ID, hub.Ready)
	if _, err := h.Server(t.Context(), "alice", "lab"); err != nil {
		t.Fatal(err)
	}
	h.History.Verify(t)
}
