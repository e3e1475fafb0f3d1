package mux

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Status implements [scheduler.Scheduler]. It asks the place where the server was seen last, and all of them only if the server is not there. While a place is
// away, a server that another place knows is told of: what is newer is of a generation that its caller knows of. One that no place knows may be in the one that
// is away, which is an [scheduler.AwayError].
func (s *Scheduler) Status(ctx context.Context, id string) (scheduler.Status, error) {
	if last, ok := s.seen.get(id); ok {
		status, err := s.places[last.place].Scheduler.Status(ctx, id)
		switch {
		case err == nil && status.Generation >= last.generation:
			s.seen.noteStatus(last.place, status)
			return status, nil
		case err != nil && !errors.Is(err, scheduler.ErrNotFound):
			return scheduler.Status{}, s.away(ctx, last.place, err)
		}
	}
	status, _, err := s.find(ctx, id)
	return status, err
}

// find asks all places for a server, and returns the newest generation and its place.
func (s *Scheduler) find(ctx context.Context, id string) (scheduler.Status, int, error) {
	answers := s.whoHas(ctx, everywhere, id)
	found, err := known(answers)
	if len(found) == 0 && err != nil {
		return scheduler.Status{}, 0, s.nobodyKnows(answers, err)
	}
	if len(found) == 0 {
		return scheduler.Status{}, 0, scheduler.ErrNotFound
	}
	newest := found[0]
	for _, other := range found[1:] {
		if other.value.Generation > newest.value.Generation {
			newest = other
		}
	}
	s.seen.noteStatus(newest.place, newest.value)
	return newest.value, newest.place, nil
}

// List implements [scheduler.Scheduler]: of each server the newest generation. It fails if one place does, because a list without its servers would say that
// they are gone.
func (s *Scheduler) List(ctx context.Context) ([]scheduler.Status, error) {
	lists := askAll(ctx, s, everywhere, func(ctx context.Context, m Member) ([]scheduler.Status, error) { return m.List(ctx) })
	if err := failures(lists); err != nil {
		return nil, err
	}
	newest := map[string]answer[scheduler.Status]{}
	for _, list := range lists {
		for _, status := range list.value {
			one := answer[scheduler.Status]{place: list.place, value: status}
			before, twice := newest[status.ID]
			if twice && before.value.Generation >= status.Generation {
				s.found(one)
				continue
			}
			if twice {
				s.found(before)
			}
			newest[status.ID] = one
		}
	}
	all := make([]scheduler.Status, 0, len(newest))
	for _, one := range newest {
		s.seen.noteStatus(one.place, one.value)
		all = append(all, one.value)
	}
	slices.SortFunc(all, func(a, b scheduler.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// maxStrays bounds how many strays wait to be ended; the next List finds the rest.
const maxStrays = 1000

// stray is a generation of a server that runs in one place although a newer one is in another: a hub died before it could end it.
type stray struct {
	place      int
	id         string
	generation int64
}

// found has a watch end a stray. That is right however old the list is: a newer generation was started, and this one is never to run again.
func (s *Scheduler) found(a answer[scheduler.Status]) {
	select {
	case s.strays <- stray{a.place, a.value.ID, a.value.Generation}:
	default:
	}
}

// sweep ends strays until the context ends.
func (s *Scheduler) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case lost := <-s.strays:
			s.log.WarnContext(ctx, "a server is in two places; its older run is ended", "server_id", lost.id, "generation", lost.generation, "place", s.places[lost.place].String())
			if err := s.places[lost.place].Scheduler.Stop(ctx, lost.id, lost.generation); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the older run of a server could not be ended, will be tried again", "server_id", lost.id, "err", err)
			}
		}
	}
}
