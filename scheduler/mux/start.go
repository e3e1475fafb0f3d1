package mux

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Start implements [scheduler.Scheduler]. A generation that was accepted in another place stays there, whatever the Spec says now: it is the same start. A place
// that is away is passed over, unless the server was seen there; see the package's comment.
func (s *Scheduler) Start(ctx context.Context, spec scheduler.Spec) error {
	if err := spec.Validate(); err != nil {
		return err
	}
	at, err := s.target(spec.Workload.Placement)
	if err != nil {
		return err
	}
	accepted, err := s.makeWay(ctx, at, spec)
	if accepted || err != nil {
		return err
	}
	if err := s.places[at].Scheduler.Start(ctx, specHere(spec)); err != nil {
		return s.away(ctx, at, err)
	}
	s.seen.note(spec.ID, at, spec.Generation)
	return s.lookAgain(ctx, at, spec)
}

// makeWay ends what older generations are in other places. It reports whether this generation was accepted in one of them.
func (s *Scheduler) makeWay(ctx context.Context, at int, spec scheduler.Spec) (accepted bool, err error) {
	others, err := s.others(ctx, at, spec.ID)
	if err != nil {
		return false, err
	}
	for _, other := range others {
		switch {
		case other.value.Generation > spec.Generation:
			return false, scheduler.ErrStale
		case other.value.Generation == spec.Generation:
			return true, s.oneOf(ctx, at, spec)
		}
	}
	if err := s.checkMounts(ctx, at, spec.Workload.Mounts); err != nil { // while nothing has been ended
		return false, err
	}
	for _, other := range others {
		if err := s.places[other.place].Scheduler.Stop(ctx, spec.ID, spec.Generation-1); err != nil {
			return false, err
		}
	}
	return false, nil
}

// oneOf ends one of two, if the generation was accepted in the place asked for as well: two hubs with two configurations started it.
func (s *Scheduler) oneOf(ctx context.Context, at int, spec scheduler.Spec) error {
	here, err := s.places[at].Scheduler.Status(ctx, spec.ID)
	switch {
	case errors.Is(err, scheduler.ErrNotFound):
		return nil
	case err != nil:
		return err
	case here.Generation > spec.Generation:
		return scheduler.ErrStale
	case here.Generation < spec.Generation:
		return s.places[at].Scheduler.Stop(ctx, spec.ID, spec.Generation-1)
	}
	return s.lookAgain(ctx, at, spec)
}

// others returns what the other places know of the server. Of those that are away it takes it for granted that they know nothing, unless the server was seen
// there and not seen to end.
func (s *Scheduler) others(ctx context.Context, at int, id string) ([]answer[scheduler.Status], error) {
	answers := s.whoHas(ctx, except(at), id)
	last, hinted := s.seen.get(id)
	for _, a := range answers {
		if a.err == nil || errors.Is(a.err, scheduler.ErrNotFound) {
			continue
		}
		if !errors.Is(a.err, scheduler.ErrUnavailable) {
			return nil, a.err
		}
		if hinted && last.place == a.place && !last.ended {
			return nil, s.away(ctx, a.place, a.err)
		}
		s.log.WarnContext(ctx, "a server is started while a place is away in which it was not seen", "server_id", id, "place", s.places[a.place].String(), "err", a.err)
	}
	return slices.DeleteFunc(answers, func(a answer[scheduler.Status]) bool { return a.err != nil }), nil
}

// lookAgain finds out whether another hub started the same server elsewhere in the same instant. The newest stays; of two that are equal the one in the
// place that comes first.
func (s *Scheduler) lookAgain(ctx context.Context, at int, spec scheduler.Spec) error {
	others, err := s.others(ctx, at, spec.ID)
	if err != nil {
		return err
	}
	for _, other := range others {
		generation := other.value.Generation
		if generation > spec.Generation || generation == spec.Generation && other.place < at {
			s.seen.note(spec.ID, other.place, generation)
			err := s.places[at].Scheduler.Stop(ctx, spec.ID, spec.Generation)
			if generation > spec.Generation {
				err = errors.Join(scheduler.ErrStale, err)
			}
			return err
		}
	}
	for _, other := range others {
		if err := s.places[other.place].Scheduler.Stop(ctx, spec.ID, spec.Generation); err != nil {
			return err
		}
	}
	return nil
}

// Stop implements [scheduler.Scheduler]. It ends the server in all places, as nobody knows for certain where it was. While one is away, the others are enough
// only if the generation was in one of them: nothing of an older one can be left, as a generation begins after the end of the one before.
func (s *Scheduler) Stop(ctx context.Context, id string, generation int64) error {
	here, silent := s.whereIs(ctx, id, generation)
	reached := func(place int) bool { return silent[place] == nil }
	err := failures(askAll(ctx, s, reached, func(ctx context.Context, m Member) (struct{}, error) {
		return struct{}{}, m.Stop(ctx, id, generation)
	}))
	if err != nil {
		return err
	}
	for _, place := range slices.Sorted(maps.Keys(silent)) {
		if !here {
			return s.away(ctx, place, silent[place])
		}
		s.log.WarnContext(ctx, "a server was ended while a place is away in which it was not", "server_id", id, "place", s.places[place].String(), "err", silent[place])
	}
	s.seen.forget(id, generation)
	return nil
}

// whereIs asks all places for a server. silent are those that cannot be reached, and here is true if another one has, or had, this generation.
func (s *Scheduler) whereIs(ctx context.Context, id string, generation int64) (here bool, silent map[int]error) {
	silent = map[int]error{}
	last, hinted := s.seen.get(id)
	for _, a := range s.whoHas(ctx, everywhere, id) {
		switch {
		case errors.Is(a.err, scheduler.ErrUnavailable):
			silent[a.place] = a.err
		case a.err == nil && a.value.Generation == generation, hinted && last.place == a.place && last.generation == generation:
			here = true
		}
	}
	return here, silent
}
