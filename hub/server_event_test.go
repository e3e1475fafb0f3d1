package hub_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestEventsTellWhatWasAskedForAndSucceeded: starts and stops that somebody wanted are told once each; a start that fails and a server that ends by itself are not.
func TestEventsTellWhatWasAskedForAndSucceeded(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	b := newBench(t, func(o *hub.Options) {
		o.Events = func(e hub.ServerEvent) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, e.Action+" "+e.User+"/"+e.Server)
		}
	})
	b.placeAt(notebook(t))
	b.login("ada")
	s := b.start("ada", "")
	b.awaitState(s.ID, hub.Ready)
	if _, err := b.hub.StopServer(t.Context(), "ada", "", false); err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Stopped)

	lab := b.start("ada", "lab")
	b.awaitState(lab.ID, hub.Ready)
	b.fake.Kill(lab.ID, "It ended.")
	b.awaitState(lab.ID, hub.Stopped)

	b.fake.OnStart = func(s scheduler.Spec) { go b.fake.Kill(s.ID, "It did not start.") }
	b.start("ada", "lab")
	b.awaitState(lab.ID, hub.Stopped)
	b.stop()

	mu.Lock()
	defer mu.Unlock()
	if want := []string{"start ada/", "stop ada/", "start ada/lab"}; !slices.Equal(told, want) {
		t.Errorf("told: %q, want %q", told, want)
	}
}
