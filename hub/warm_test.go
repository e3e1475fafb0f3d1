package hub_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// warmer is a scheduler that keeps images.
type warmer struct {
	scheduler.Scheduler
	mu     sync.Mutex
	kept   []scheduler.WarmImage
	called chan struct{}
	asked  int
}

func (w *warmer) Warm(_ context.Context, images []scheduler.WarmImage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = images
	select {
	case w.called <- struct{}{}:
	default:
	}
	return nil
}

func (w *warmer) Warmth(context.Context) ([]scheduler.Warmth, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return []scheduler.Warmth{{WarmImage: scheduler.WarmImage{Driver: "docker", Image: "lab:1", Pool: "default"}, Nodes: 10, Ready: 8}}, nil
}

// gallery are profiles with images.
type gallery struct{ hub.Profiles }

func (gallery) Images() []scheduler.WarmImage {
	return []scheduler.WarmImage{{Driver: "docker", Image: "lab:1"}}
}

func TestImagesAreKeptIfThatIsWanted(t *testing.T) {
	t.Parallel()
	for wanted, images := range map[bool]int{true: 1, false: 0} {
		w := &warmer{called: make(chan struct{}, 1)}
		b := newBench(t, func(o *hub.Options) {
			w.Scheduler = o.Scheduler
			o.Scheduler, o.Profiles, o.Notebook.WarmImages = w, gallery{}, wanted
		})
		<-w.called
		w.mu.Lock()
		if len(w.kept) != images {
			t.Errorf("wanted %v: %v are kept", wanted, w.kept)
		}
		w.mu.Unlock()
		for range 3 {
			got := b.hub.Warmth(t.Context(), profile.Form{Image: "lab:1"})
			if (got.Ready == 8) != wanted {
				t.Errorf("wanted %v: the form says %+v", wanted, got)
			}
			if other := b.hub.Warmth(t.Context(), profile.Form{Image: "lab:2"}); other.Nodes != 0 {
				t.Errorf("of another image it says %+v", other)
			}
		}
		if wanted && w.asked != 1 {
			t.Errorf("the cluster was asked %d times at once", w.asked)
		}
	}
}
