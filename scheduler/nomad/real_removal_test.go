package nomad_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
)

// TestF11RemovedByOthers: an operator purges a job, Nomad removes what is over, and the whole namespace goes. Each time the server is forgotten, which is no error, and the
// purge is told as an operator's.
func TestF11RemovedByOthers(t *testing.T) {
	t.Parallel()
	server := startAgents(t, 1)[0]
	s := schedulerAt(t, server.address, "notebook-")
	w := watchAll(t, s)
	gone := func(id string) {
		t.Helper()
		await(t, id+" is forgotten", func() error {
			if status, err := s.Status(t.Context(), id); !errors.Is(err, scheduler.ErrNotFound) {
				return fmt.Errorf("status %+v, %w", status, err)
			}
			listed, err := s.List(t.Context())
			if err == nil && len(listed) != 0 {
				err = fmt.Errorf("listed: %+v", listed)
			}
			return err
		})
	}
	start := func(id string) {
		t.Helper()
		if err := s.Start(t.Context(), scheduler.Spec{ID: id, Generation: 1}); err != nil {
			t.Fatal(err)
		}
		w.awaitTold(t, id, 1)
	}
	start("purged")
	if _, _, err := server.client.Jobs().Deregister("notebook-purged", true, nil); err != nil {
		t.Fatal(err)
	}
	w.awaitCause(t, "purged", scheduler.CauseOperator)
	gone("purged")

	start("collected")
	if _, _, err := server.client.Jobs().Deregister("notebook-collected", false, nil); err != nil {
		t.Fatal(err)
	}
	w.awaitCause(t, "collected", scheduler.CauseOperator)
	if status, err := s.Status(t.Context(), "collected"); err != nil || status.State != scheduler.Dead || status.Cause != scheduler.CauseOperator {
		t.Errorf("stopped: %+v, %v", status, err)
	}
	await(t, "Nomad has removed what is over", func() error {
		if err := server.client.System().GarbageCollect(); err != nil {
			return err
		}
		if _, err := s.Status(t.Context(), "collected"); !errors.Is(err, scheduler.ErrNotFound) {
			return fmt.Errorf("not yet: %w", err)
		}
		return nil
	})
	gone("collected")

	for _, id := range []string{"purged", "collected"} { // the hub stops what it finds gone, which removes the rest: the variable
		if err := s.Stop(t.Context(), id, 1); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the namespace can be deleted", func() error {
		_, err := server.client.Namespaces().Delete(namespace, nil)
		return err
	})
	gone("collected")
	if err := s.Stop(t.Context(), "collected", 1); err != nil {
		t.Errorf("stop in a namespace that is gone: %v", err)
	}
}
