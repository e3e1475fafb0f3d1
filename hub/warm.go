package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	warmInterval = 30 * time.Second // how often the machines are told anew which images to keep: the profiles may have changed
	warmthAge    = 15 * time.Second // how long an answer about them is told
	warmPatience = 20 * time.Second
	// warmthPatience is how long the form waits for that answer.
	warmthPatience = 2 * time.Second
)

// keepWarm has the machines keep the images of the profiles in force, or none if that is not wanted.
func (h *Hub) keepWarm(ctx context.Context) error {
	warmer, ok := h.opts.Scheduler.(scheduler.Warmer)
	if !ok {
		<-ctx.Done()
		return ctx.Err()
	}
	tick := time.NewTicker(warmInterval)
	defer tick.Stop()
	for {
		if err := h.warmOnce(ctx, warmer); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "images could not be kept on machines, will be tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (h *Hub) warmOnce(ctx context.Context, warmer scheduler.Warmer) error {
	ctx, cancel := context.WithTimeout(ctx, warmPatience)
	defer cancel()
	return warmer.Warm(ctx, h.warmImages())
}

// warmImages are those that the profiles in force start from.
func (h *Hub) warmImages() []scheduler.WarmImage {
	known, ok := h.profilesNow().(interface{ Images() []scheduler.WarmImage })
	if !ok || !h.opts.Notebook.WarmImages {
		return nil
	}
	return known.Images()
}

// warmths is what the cluster last said of the images that its machines keep.
type warmths struct {
	mu    sync.Mutex
	asked time.Time
	told  []scheduler.Warmth
}

// ask brings what is known up to date; the caller holds mu. A cluster that gives no answer is not asked again before its time, since all who open a form wait for it.
func (w *warmths) ask(ctx context.Context, h *Hub, warmer scheduler.Warmer) {
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), warmthPatience)
	defer cancel()
	told, err := warmer.Warmth(wctx)
	w.asked = h.now()
	if err != nil {
		h.log.DebugContext(ctx, "nobody knows which images are kept", "err", err)
		return
	}
	w.told = told
}

// Warmth tells on how many machines the image of a form is kept; the zero value if nobody knows, or if images are not kept.
func (h *Hub) Warmth(ctx context.Context, form profile.Form) scheduler.Warmth {
	warmer, ok := h.opts.Scheduler.(scheduler.Warmer)
	if !ok || !h.opts.Notebook.WarmImages || form.Image == "" {
		return scheduler.Warmth{}
	}
	h.warmths.mu.Lock()
	defer h.warmths.mu.Unlock()
	if h.now().Sub(h.warmths.asked) > warmthAge {
		h.warmths.ask(ctx, h, warmer)
	}
	at := slices.IndexFunc(h.warmths.told, func(w scheduler.Warmth) bool {
		return w.Image == form.Image && (w.Pool == form.Pool || form.Pool == "")
	})
	if at < 0 {
		return scheduler.Warmth{}
	}
	return h.warmths.told[at]
}
