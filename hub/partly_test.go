package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// halfAway is a scheduler of which a part cannot be reached: of a server that the rest does not know it cannot tell whether there is one.
type halfAway struct{ scheduler.Scheduler }

func away() error {
	return &scheduler.AwayError{Reason: `The region "far" cannot be reached at this moment.`, Partly: true, Err: errors.New("no path to region")}
}

func (h halfAway) Status(ctx context.Context, id string) (scheduler.Status, error) {
	status, err := h.Scheduler.Status(ctx, id)
	if errors.Is(err, scheduler.ErrNotFound) {
		err = away()
	}
	return status, err
}

func TestPartOfTheSchedulerIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Scheduler = halfAway{o.Scheduler} })
	b.placeAt(notebook(t))
	b.login("alice")
	s := b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)
	if _, err := b.hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)
	b.start("alice", "")
	b.awaitState(s.ID, hub.Ready)

	// For all that the rest can tell, this one could be in the part that is away.
	b.fake.Forget(s.ID)
	b.fake.Resync()
	other := b.start("alice", "other")
	b.awaitState(other.ID, hub.Ready)
	if got, err := b.hub.Server(t.Context(), "alice", ""); err != nil || got.State != hub.Ready {
		t.Errorf("the server is %s, %v", got.State, err)
	}
}

func TestStartInThePartThatIsAway(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Scheduler = halfAway{o.Scheduler} })
	b.placeAt(notebook(t))
	b.login("alice")
	b.fake.FailStart(away())
	s := b.start("alice", "")
	events, err := b.hub.Progress(t.Context(), "alice", "")
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for e := range events {
		if strings.Contains(e.Message, `The region "far" cannot be reached at this moment. Trying again.`) && !told {
			told = true
			b.fake.FailStart(nil)
		}
	}
	if !told {
		t.Error("nobody was told why the start waits")
	}
	b.awaitState(s.ID, hub.Ready)
}
