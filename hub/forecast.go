package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	forecastAge   = 10 * time.Second // how long an answer of the cluster is told
	maxForecasts  = 256              // answers that are kept
	planBurst     = 10               // questions that may be asked at once
	planInterval  = 200 * time.Millisecond
	planPatience  = 5 * time.Second
	forecastID    = "forecast" // the name of a server that never is
	backfillPause = 500 * time.Millisecond
	backfillAgain = 5 * time.Second // before the cluster is asked again about the same start
	backfillPlans = 2               // questions in one round
	backfillLooks = 8               // starts that one round considers
)

func (h *Hub) planner() scheduler.Planner {
	p, _ := h.opts.Scheduler.(scheduler.Planner)
	return p
}

// Forecasts tells, before the click, whether each profile that the user may choose would fit, with its options at their defaults. A profile of which the
// cluster could not be asked is left out; nil where the scheduler cannot tell.
func (h *Hub) Forecasts(ctx context.Context, userName, serverName string) (map[string]scheduler.Forecast, error) {
	profiles := h.profilesNow()
	if h.planner() == nil || profiles == nil {
		return nil, nil
	}
	u, s, err := h.userAndServer(ctx, userName, serverName)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	out := map[string]scheduler.Forecast{}
	var g errgroup.Group
	for _, form := range profiles.Forms(profileUser(u), profileServer(s)) {
		g.Go(func() error {
			options, _ := json.Marshal(map[string]string{"profile": form.Name}) // strings always encode
			f, err := h.forecastOf(ctx, u, s, options)
			if err != nil {
				h.log.DebugContext(ctx, "no forecast", "profile", form.Name, "err", err)
				return nil // what is not known is not told
			}
			mu.Lock()
			defer mu.Unlock()
			out[form.Name] = f
			return nil
		})
	}
	_ = g.Wait() // no error is returned above
	return out, nil
}

// forecastOf is what becomes of a start with these options: what the cluster says, unless the hub's queue holds it back before.
func (h *Hub) forecastOf(ctx context.Context, u User, s Server, options json.RawMessage) (scheduler.Forecast, error) {
	c, err := h.choose(u, s, options)
	if err != nil {
		return scheduler.Forecast{}, err
	}
	f, err := h.forecasts.of(ctx, c)
	if err != nil || f.Verdict != scheduler.FitsNow {
		return f, err
	}
	pool := c.Workload.Placement.NodePool
	if g, known := h.queue.glance(h.now()); known && g.waiting > 0 && g.hold.wholeHub() {
		return scheduler.Forecast{Verdict: scheduler.FitsLater, Reason: fmt.Sprintf("%s %d wait now.", g.hold.sentence(), g.waiting), Pool: f.Pool}, nil
	}
	if n := h.queue.size(pool); n >= maxBlocked {
		return scheduler.Forecast{
			Verdict: scheduler.FitsLater, Pool: f.Pool,
			Reason: fmt.Sprintf("%d starts wait for room on these machines already.", n),
		}, nil
	}
	return f, nil
}

// size is how many waited for the node pool when the queue was last looked at.
func (q *startQueue) size(pool string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.h.now().Sub(q.view.at) > glanceAge {
		return 0
	}
	return q.view.sizes[pool]
}

// forecasts asks the cluster whether servers would fit. The answer is the same for all who ask for the same, so a class that opens its forms asks the
// cluster a few times and not a thousand.
type forecasts struct {
	h      *Hub
	budget planBudget

	mu    sync.Mutex
	known map[[sha256.Size]byte]*forecast
}

// forecast is one answer, or a question under way.
type forecast struct {
	done  chan struct{} // closed when the answer is there
	asked time.Time
	told  scheduler.Forecast
	err   error
}

func (f *forecasts) init(h *Hub) {
	f.h, f.known = h, map[[sha256.Size]byte]*forecast{}
	f.budget.init(planBurst, planInterval)
}

// planSpec is what the cluster is asked about. It belongs to nobody: the volumes of a user are left out.
func planSpec(c choice) scheduler.Spec {
	return scheduler.Spec{ID: forecastID, Generation: 1, Resources: c.Resources, Workload: c.Workload}
}

// of returns the answer for a choice, at most forecastAge old.
func (f *forecasts) of(ctx context.Context, c choice) (scheduler.Forecast, error) {
	spec := planSpec(c)
	text, err := json.Marshal(spec)
	if err != nil {
		return scheduler.Forecast{}, err
	}
	entry, mine := f.entry(sha256.Sum256(text))
	if mine {
		// Others may wait for the answer when this one has gone, so it is asked for in any case.
		pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planPatience)
		entry.told, entry.err = f.ask(pctx, spec)
		cancel()
		close(entry.done)
	}
	select {
	case <-entry.done:
		return entry.told, entry.err
	case <-ctx.Done():
		return scheduler.Forecast{}, ctx.Err()
	}
}

// entry finds the answer, or makes room for one that the caller is to ask for.
func (f *forecasts) entry(key [sha256.Size]byte) (entry *forecast, mine bool) {
	now := f.h.now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.known[key]; e != nil && now.Sub(e.asked) < forecastAge {
		return e, false
	}
	if len(f.known) >= maxForecasts {
		for k, e := range f.known {
			if now.Sub(e.asked) >= forecastAge {
				delete(f.known, k)
			}
		}
		for k := range f.known { // all are new: any one goes
			if len(f.known) < maxForecasts {
				break
			}
			delete(f.known, k)
		}
	}
	e := &forecast{done: make(chan struct{}), asked: now}
	f.known[key] = e
	return e, true
}

// ask puts one question, within the budget. What the cluster refuses can never start.
func (f *forecasts) ask(ctx context.Context, spec scheduler.Spec) (scheduler.Forecast, error) {
	if err := f.budget.take(ctx); err != nil {
		return scheduler.Forecast{}, err
	}
	told, err := f.h.planner().Plan(ctx, spec)
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		told, err = scheduler.Forecast{Verdict: scheduler.FitsNever, Reason: rejected.Reason, Pool: spec.Workload.Placement.NodePool}, nil
	}
	verdict := string(told.Verdict)
	if err != nil {
		verdict = "unknown"
	}
	f.h.metrics.queue.forecasts.WithLabelValues(verdict).Inc()
	return told, err
}

// planBudget keeps questions to the cluster apart: a few at once, then one each interval.
type planBudget struct {
	tokens chan struct{}
	every  time.Duration

	mu   sync.Mutex
	last time.Time
}

func (b *planBudget) init(burst int, every time.Duration) {
	b.tokens, b.every = make(chan struct{}, burst), every
	for range burst {
		b.tokens <- struct{}{}
	}
}

// take waits until a question may be asked.
func (b *planBudget) take(ctx context.Context) error {
	for {
		b.refill()
		select {
		case <-b.tokens:
			return nil
		default:
		}
		if !sleep(ctx, b.every, nil) {
			return ctx.Err()
		}
	}
}

func (b *planBudget) refill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.last.IsZero() {
		b.last = now
	}
	for ; now.Sub(b.last) >= b.every; b.last = b.last.Add(b.every) {
		select {
		case b.tokens <- struct{}{}:
		default: // full: time that was not used is lost
			b.last = now
			return
		}
	}
}
