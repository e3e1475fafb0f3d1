// Package mux makes one scheduler of several, each of which runs servers in one place: one namespace of one region.
//
// A server is in one place. Its next generation may be in another, because somebody chose another profile. So a start goes
//
//	look at the other places ─► end older generations there ─► start in the place asked for ─► look at the others again
//
// Each step may be the last that a hub does; whoever starts or stops the same server next goes on from there. Two hubs that start two
// generations in two places at the same instant may both find nothing at their first look. Both find it at the second, which comes after what each of them
// started can be seen: the older one goes. What a hub left that died between a start and its second look is found by the next List and ended.
//
// A place that cannot be reached blocks nobody elsewhere, and nothing is concluded from its silence. The caller starts a generation only after a Stop of the one
// before has returned, so whatever is left anywhere is of the generation that it starts. A start passes over a place that is away, unless the server was seen
// there; a stop does if the generation was in another place; a volume that is where its server shall run is used. Who lists, and who asks for a server that no other
// place knows, gets an error and calls again.
package mux

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Member is a scheduler that has all abilities, so that their sum has them too.
type Member interface {
	scheduler.Scheduler
	scheduler.LogTailer
	scheduler.LogReader
	scheduler.Meter
	scheduler.Historian
	scheduler.Planner
	scheduler.Surveyor
	scheduler.Advisor
	scheduler.Fresh
	scheduler.VolumeKeeper
	scheduler.Warmer
}

// Place is where one member runs servers.
type Place struct {
	Region    string // "" in all places: there is only one
	Namespace string
	Scheduler Member
}

// String names the place in sentences.
func (p Place) String() string {
	if p.Region == "" {
		return fmt.Sprintf("the namespace %q", p.Namespace)
	}
	return fmt.Sprintf("the namespace %q of the region %q", p.Namespace, p.Region)
}

// Options configure a Scheduler.
type Options struct {
	// Places are where servers may run. The first one is for those that name none.
	Places []Place
	// VolumeID tells which of the hub's volumes the source of a mount is; "" for a volume that somebody else made.
	VolumeID func(source string) string
	// Logger gets what is not an error of a call; by default nothing is logged.
	Logger *slog.Logger
}

// Scheduler runs each server in the place that its [scheduler.Placement] names. It has all abilities, as its members do.
type Scheduler struct {
	places   []Place
	volumeID func(source string) string
	log      *slog.Logger

	seen   hints
	mute   []atomic.Bool // by place: it did not answer when it was asked last
	making locks         // of volumes, by kind and ID
	strays chan stray
}

var _ Member = (*Scheduler)(nil)

// New checks the options. It asks no member anything.
func New(o Options) (*Scheduler, error) {
	if len(o.Places) == 0 {
		return nil, errors.New("mux: no place given")
	}
	if o.VolumeID == nil {
		return nil, errors.New("mux: nothing tells volumes from one another")
	}
	taken := map[[2]string]bool{}
	for _, p := range o.Places {
		key := [2]string{p.Region, p.Namespace}
		switch {
		case p.Scheduler == nil:
			return nil, fmt.Errorf("mux: %s has no scheduler", p)
		case taken[key]:
			return nil, fmt.Errorf("mux: %s is given twice", p)
		}
		taken[key] = true
	}
	return &Scheduler{
		places: o.Places, volumeID: o.VolumeID, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), strays: make(chan stray, maxStrays), mute: make([]atomic.Bool, len(o.Places)),
	}, nil
}

// target returns the index of the place that a placement names.
func (s *Scheduler) target(p scheduler.Placement) (int, error) {
	home := s.places[0]
	region, namespace := cmp.Or(p.Region, home.Region), cmp.Or(p.Namespace, home.Namespace)
	for i, place := range s.places {
		if place.Region == region && place.Namespace == namespace {
			return i, nil
		}
	}
	wanted := Place{Region: region, Namespace: namespace}
	return 0, &scheduler.RejectedError{
		Reason: fmt.Sprintf("This hub runs no servers in %s, which the profile asks for. An operator must add it to the hub's configuration, or correct the profile.", wanted),
		Err:    fmt.Errorf("mux: %s is not configured", wanted),
	}
}

// here takes a place's own names out of a placement: its scheduler knows where it is.
func here(p scheduler.Placement) scheduler.Placement {
	p.Region, p.Namespace = "", ""
	return p
}

func specHere(spec scheduler.Spec) scheduler.Spec {
	spec.Workload.Placement = here(spec.Workload.Placement)
	return spec
}

// answer is what one place said.
type answer[T any] struct {
	place int
	value T
	err   error // names the place
}

// asking is how one place is asked.
type asking func(ctx context.Context, s *Scheduler, place int, ask func(context.Context) error) error

// askAll asks the places that want takes, all at the same time, and returns their answers in the order of the places. how is [patiently], or nothing special.
func askAll[T any](ctx context.Context, s *Scheduler, want func(place int) bool, ask func(context.Context, Member) (T, error), how ...asking) []answer[T] {
	answers := make([]answer[T], 0, len(s.places))
	for i := range s.places {
		if want(i) {
			answers = append(answers, answer[T]{place: i})
		}
	}
	var asked sync.WaitGroup
	for i := range answers {
		a := &answers[i]
		asked.Go(func() {
			question := func(ctx context.Context) (err error) {
				a.value, err = ask(ctx, s.places[a.place].Scheduler)
				return err
			}
			if len(how) > 0 {
				a.err = how[0](ctx, s, a.place, question)
			} else {
				a.err = question(ctx)
			}
			if a.err != nil {
				a.err = fmt.Errorf("%s: %w", s.places[a.place], a.err)
			}
		})
	}
	asked.Wait()
	return answers
}

func everywhere(int) bool { return true }

func except(place int) func(int) bool {
	return func(i int) bool { return i != place }
}

// known leaves of the answers those of places that know what they were asked about. Another error of any place is the error of all.
func known[T any](answers []answer[T]) ([]answer[T], error) {
	var found []answer[T]
	var errs []error
	for _, a := range answers {
		switch {
		case a.err == nil:
			found = append(found, a)
		case !errors.Is(a.err, scheduler.ErrNotFound):
			errs = append(errs, a.err)
		}
	}
	return found, errors.Join(errs...)
}

// failures are the errors of all answers.
func failures[T any](answers []answer[T]) error {
	var errs []error
	for _, a := range answers {
		errs = append(errs, a.err)
	}
	return errors.Join(errs...)
}
