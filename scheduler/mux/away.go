package mux

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// patience is how long a place may take to say whether it has a server; then it counts as away.
	patience = 10 * time.Second
	// shortPatience is that for a place that did not answer when it was asked last, so that nobody waits for it again and again.
	shortPatience = time.Second
)

// whoHas asks places for a server. One that does not answer in time is an [scheduler.ErrUnavailable].
func (s *Scheduler) whoHas(ctx context.Context, want func(place int) bool, id string) []answer[scheduler.Status] {
	return askAll(ctx, s, want, func(ctx context.Context, m Member) (scheduler.Status, error) { return m.Status(ctx, id) }, patiently)
}

// patiently bounds a question to one place.
func patiently(ctx context.Context, s *Scheduler, place int, ask func(context.Context) error) error {
	most := patience
	if s.mute[place].Load() {
		most = shortPatience
	}
	bounded, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := ask(bounded)
	late := bounded.Err() != nil && ctx.Err() == nil
	s.mute[place].Store(late)
	if err != nil && late && !errors.Is(err, scheduler.ErrUnavailable) {
		return fmt.Errorf("no answer within %s: %w: %w", most, err, scheduler.ErrUnavailable)
	}
	return err
}

// away tells what cannot be reached, if that is the error.
func (s *Scheduler) away(ctx context.Context, place int, err error) error {
	if !errors.Is(err, scheduler.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	return &scheduler.AwayError{Reason: s.places[place].cannotBeReached(), Err: err}
}

// nobodyKnows is the error of a question to all places of which some are away, and no other knows the answer.
func (s *Scheduler) nobodyKnows(answers []answer[scheduler.Status], err error) error {
	silent, others := -1, false
	for _, a := range answers {
		switch {
		case errors.Is(a.err, scheduler.ErrNotFound):
			others = true
		case !errors.Is(a.err, scheduler.ErrUnavailable):
			return err
		case silent < 0:
			silent = a.place
		}
	}
	return &scheduler.AwayError{Reason: s.places[silent].cannotBeReached(), Partly: others, Err: err}
}

func (p Place) cannotBeReached() string {
	name := p.String()
	return strings.ToUpper(name[:1]) + name[1:] + " cannot be reached at this moment."
}
