package schedulertest

import (
	"context"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

var _ scheduler.Planner = (*Fake)(nil)

// planner is what the cluster says of plans, and how often it was asked.
type planner struct {
	answer func(scheduler.Spec) (scheduler.Forecast, error)
	asked  []scheduler.Spec
}

// Plan implements scheduler.Planner: everything fits, unless PlanWith says otherwise.
func (f *Fake) Plan(ctx context.Context, spec scheduler.Spec) (scheduler.Forecast, error) {
	if err := cmpErr(ctx.Err(), spec.Validate()); err != nil {
		return scheduler.Forecast{}, err
	}
	f.world.mu.Lock()
	f.world.plans.asked = append(f.world.plans.asked, spec)
	answer := f.world.plans.answer
	f.world.mu.Unlock()
	if answer == nil {
		return scheduler.Forecast{Verdict: scheduler.FitsNow, Pool: spec.Workload.Placement.NodePool}, nil
	}
	return answer(spec)
}

// PlanWith has answer tell whether servers would fit, from now on; nil: all do. It may use the other knobs.
func (f *Fake) PlanWith(answer func(spec scheduler.Spec) (scheduler.Forecast, error)) {
	f.set(func(w *world) { w.plans.answer = answer })
}

// Planned returns what Plan was asked about, in order.
func (f *Fake) Planned() (specs []scheduler.Spec) {
	f.set(func(w *world) { specs = append(specs, w.plans.asked...) })
	return specs
}

// Unblock says that there is room for the server after all, before it gets its place.
func (f *Fake) Unblock(id string) {
	f.change(id, "There is room for the server.", func(s *fakeServer) { s.status.Blocked, s.status.Reason = false, "" })
}

// Prepare says whether the server's machine fetches what the server needs, such as an image.
func (f *Fake) Prepare(id string, preparing bool) {
	message := map[bool]string{true: "Pulling the image.", false: "The image is there."}[preparing]
	f.change(id, message, func(s *fakeServer) { s.status.Preparing = preparing })
}

// KillFor ends a server for that cause, with a sentence.
func (f *Fake) KillFor(id string, cause scheduler.Cause, reason string) {
	f.change(id, reason, func(s *fakeServer) {
		s.status.State, s.status.Reason, s.status.Cause, s.status.Blocked = scheduler.Dead, reason, cause, false
		s.status.Lost, s.status.Ended = false, time.Now().Round(0).UTC()
	})
}
