package hubcalls

import (
	"errors"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

func TestALifeIsRecorded(t *testing.T) {
	t.Parallel()
	b := hubtest.New(t)
	b.User("alice", false)
	history := checker.New(checker.Options{Model: checker.Model{Steady: true}})
	h := Hub{Hub: b.Hub, History: history, Client: "test"}
	ctx := t.Context()

	if _, err := h.Server(ctx, "alice", "lab"); hub.KindOf(err) != hub.NotFound {
		t.Fatal(err)
	}
	for range 2 {
		s, err := h.StartServer(ctx, "alice", "lab", nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Await(s.ID, hub.Ready)
		if _, err := h.Server(ctx, "alice", "lab"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.StartServer(ctx, "alice", "lab", nil); hub.KindOf(err) != hub.Conflict {
			t.Fatal(err)
		}
		if err := h.DeleteUser(ctx, "alice"); hub.KindOf(err) != hub.Conflict {
			t.Fatal(err)
		}
		if _, err := h.StopServer(ctx, "alice", "lab", false); err != nil {
			t.Fatal(err)
		}
		b.Await(s.ID, hub.Stopped)
	}
	if _, err := h.StopServer(ctx, "alice", "lab", true); err != nil {
		t.Fatal(err)
	}
	if err := h.DeleteUser(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	history.Verify(t)

	h.begin("alice", "lab", checker.Read).End(answer(hub.Server{ID: "s", Generation: 3, State: hub.Ready}, nil))
	if history.Check(time.Minute) == nil {
		t.Error("a server that comes from nowhere is not found")
	}
}

func TestErrorsAreVerdicts(t *testing.T) {
	t.Parallel()
	ready := hub.Server{ID: "s", Generation: 1, State: hub.Ready}
	for _, c := range []struct {
		err     error
		verdict checker.Verdict
		phase   checker.Phase
	}{
		{nil, checker.Accepted, checker.Ready},
		{hub.Errorf(hub.Conflict, "It runs."), checker.Refused, checker.Ready},
		{hub.Errorf(hub.TooMany, "Wait."), checker.Refused, ""},
		{hub.Errorf(hub.NotFound, "There is none."), checker.Refused, checker.Absent},
		{hub.Errorf(hub.Unavailable, "The database is away."), checker.Unknown, ""},
		{errors.New("connection reset"), checker.Unknown, ""},
	} {
		if got := answer(ready, c.err); got.Verdict != c.verdict || got.Seen.Phase != c.phase {
			t.Errorf("%v is %s", c.err, got)
		}
	}
}
