package mux

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// of asks the place that has a server: the one where it was seen last, else the one where it is. A place may remember a server that has no status any more;
// then each is asked.
func of[T any](ctx context.Context, s *Scheduler, id string, ask func(Member) (T, error)) (T, error) {
	var none T
	last, hinted := s.seen.get(id)
	if hinted {
		value, err := ask(s.places[last.place].Scheduler)
		if !errors.Is(err, scheduler.ErrNotFound) {
			return value, err
		}
	}
	_, place, err := s.find(ctx, id)
	switch {
	case err == nil && hinted && place == last.place:
		return none, scheduler.ErrNotFound
	case err == nil:
		return ask(s.places[place].Scheduler)
	case !errors.Is(err, scheduler.ErrNotFound):
		return none, err
	}
	for _, p := range s.places {
		value, err := ask(p.Scheduler)
		if !errors.Is(err, scheduler.ErrNotFound) {
			return value, err
		}
	}
	return none, scheduler.ErrNotFound
}

// LogTail implements [scheduler.LogTailer].
func (s *Scheduler) LogTail(ctx context.Context, id string, n int) ([]string, error) {
	return of(ctx, s, id, func(m Member) ([]string, error) { return m.LogTail(ctx, id, n) })
}

// Log implements [scheduler.LogReader].
func (s *Scheduler) Log(ctx context.Context, id string, q scheduler.LogQuery) (io.ReadCloser, error) {
	return of(ctx, s, id, func(m Member) (io.ReadCloser, error) { return m.Log(ctx, id, q) })
}

// Usage implements [scheduler.Meter].
func (s *Scheduler) Usage(ctx context.Context, id string) (scheduler.Usage, error) {
	return of(ctx, s, id, func(m Member) (scheduler.Usage, error) { return m.Usage(ctx, id) })
}

// PeakMemory implements [scheduler.PeakMeter]. A member that cannot tell has measured nothing.
func (s *Scheduler) PeakMemory(ctx context.Context, id string) (int64, error) {
	return of(ctx, s, id, func(m Member) (int64, error) {
		if meter, ok := m.(scheduler.PeakMeter); ok {
			return meter.PeakMemory(ctx, id)
		}
		return 0, nil
	})
}

// History implements [scheduler.Historian]. What happened in places where the server was before is not part of it.
func (s *Scheduler) History(ctx context.Context, id string) ([]scheduler.Event, error) {
	return of(ctx, s, id, func(m Member) ([]scheduler.Event, error) { return m.History(ctx, id) })
}

// Plan implements [scheduler.Planner].
func (s *Scheduler) Plan(ctx context.Context, spec scheduler.Spec) (scheduler.Forecast, error) {
	at, err := s.target(spec.Workload.Placement)
	if err != nil {
		return scheduler.Forecast{}, err
	}
	return s.places[at].Scheduler.Plan(ctx, specHere(spec))
}

// Advise implements [scheduler.Advisor].
func (s *Scheduler) Advise(ctx context.Context, spec scheduler.Spec) ([]string, error) {
	at, err := s.target(spec.Workload.Placement)
	if err != nil {
		return nil, err
	}
	return s.places[at].Scheduler.Advise(ctx, specHere(spec))
}

// LastSign implements [scheduler.Fresh]: the oldest of all, because up to then nothing is missing.
func (s *Scheduler) LastSign() time.Time {
	oldest := s.places[0].Scheduler.LastSign()
	for _, p := range s.places[1:] {
		if sign := p.Scheduler.LastSign(); sign.Before(oldest) {
			oldest = sign
		}
	}
	return oldest
}

// firstOfRegion takes one place of each region: machines and what they keep belong to regions.
func (s *Scheduler) firstOfRegion(place int) bool {
	return !slices.ContainsFunc(s.places[:place], func(p Place) bool { return p.Region == s.places[place].Region })
}

// Nodes implements [scheduler.Surveyor]: the machines of all regions.
func (s *Scheduler) Nodes(ctx context.Context) ([]scheduler.Node, error) {
	lists := askAll(ctx, s, s.firstOfRegion, func(ctx context.Context, m Member) ([]scheduler.Node, error) { return m.Nodes(ctx) })
	if err := failures(lists); err != nil {
		return nil, err
	}
	if len(lists) == 1 {
		return lists[0].value, nil
	}
	all := map[string]scheduler.Node{}
	for _, list := range lists {
		for _, node := range list.value {
			all[node.ID] = node
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b scheduler.Node) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	}), nil
}
