package mux

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nomadhub/nomadhub/scheduler"
)

// EnsureVolume implements [scheduler.VolumeKeeper]. A volume is in one place: one that is in another is refused, and not made a second time.
func (s *Scheduler) EnsureVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	at, err := s.target(v.Placement)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	release, err := s.making.take(ctx, string(v.Kind)+"/"+v.ID)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	defer release()
	if err := s.onlyHere(ctx, at, v.Kind, v.ID); err != nil {
		return scheduler.VolumeState{}, err
	}
	v.Placement = here(v.Placement)
	state, err := s.places[at].Scheduler.EnsureVolume(ctx, v)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	// Another hub may have made it elsewhere in the same instant. Then nobody is given either: which one has files in it, a person must see.
	if err := s.onlyHere(ctx, at, v.Kind, v.ID); err != nil {
		return scheduler.VolumeState{}, err
	}
	return state, nil
}

// onlyHere refuses to use a volume of ours that is in another place than its server. One that is here is used while others are away: it was made when they
// were not.
func (s *Scheduler) onlyHere(ctx context.Context, at int, kind scheduler.MountKind, id string) error {
	answers := askAll(ctx, s, except(at), askVolume(kind, id), patiently)
	elsewhere, err := known(answers)
	if len(elsewhere) > 0 {
		where := s.places[elsewhere[0].place]
		return &scheduler.RejectedError{
			Reason: fmt.Sprintf("Files of the server are kept in %s, where a server in %s cannot reach them. Choose another profile; an administrator "+
				"can give the profiles of %s a volume of their own.", where, s.places[at], s.places[at]),
			Err: fmt.Errorf("mux: the %s volume %s is in %s", kind, id, where),
		}
	}
	if err == nil {
		return nil
	}
	for _, a := range answers {
		if a.err != nil && !errors.Is(a.err, scheduler.ErrNotFound) && !errors.Is(a.err, scheduler.ErrUnavailable) {
			return err
		}
	}
	_, hereErr := s.places[at].Scheduler.VolumeByID(ctx, kind, id)
	if !errors.Is(hereErr, scheduler.ErrNotFound) {
		return hereErr
	}
	away := answers[slices.IndexFunc(answers, func(a answer[scheduler.VolumeState]) bool { return errors.Is(a.err, scheduler.ErrUnavailable) })]
	return &scheduler.AwayError{Reason: "Files of the server may be kept there: " + s.places[away.place].cannotBeReached(), Err: err}
}

func askVolume(kind scheduler.MountKind, id string) func(context.Context, Member) (scheduler.VolumeState, error) {
	return func(ctx context.Context, m Member) (scheduler.VolumeState, error) { return m.VolumeByID(ctx, kind, id) }
}

// checkMounts refuses a server whose files are in another place: it would wait there for them for ever.
func (s *Scheduler) checkMounts(ctx context.Context, at int, mounts []scheduler.Mount) error {
	for _, m := range mounts {
		if m.Kind != scheduler.MountDynamic && m.Kind != scheduler.MountCSI {
			continue
		}
		id := s.volumeID(m.Source)
		if id == "" {
			continue
		}
		if err := s.onlyHere(ctx, at, m.Kind, id); err != nil {
			return err
		}
	}
	return nil
}

// VolumeByID implements [scheduler.VolumeKeeper]. It says that there is none only when all places do.
func (s *Scheduler) VolumeByID(ctx context.Context, kind scheduler.MountKind, id string) (scheduler.VolumeState, error) {
	found, err := known(askAll(ctx, s, everywhere, askVolume(kind, id)))
	switch {
	case len(found) > 0:
		return found[0].value, nil
	case err != nil:
		return scheduler.VolumeState{}, err
	}
	return scheduler.VolumeState{}, scheduler.ErrNotFound
}

// Volumes implements [scheduler.VolumeKeeper].
func (s *Scheduler) Volumes(ctx context.Context) ([]scheduler.VolumeState, error) {
	lists := askAll(ctx, s, everywhere, func(ctx context.Context, m Member) ([]scheduler.VolumeState, error) { return m.Volumes(ctx) })
	if err := failures(lists); err != nil {
		return nil, err
	}
	var all []scheduler.VolumeState
	for _, list := range lists {
		all = append(all, list.value...)
	}
	slices.SortStableFunc(all, func(a, b scheduler.VolumeState) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// DeleteVolume implements [scheduler.VolumeKeeper]. It deletes the volume where it is, and is done when every place says that it has none.
func (s *Scheduler) DeleteVolume(ctx context.Context, kind scheduler.MountKind, id string) error {
	answers := askAll(ctx, s, everywhere, func(ctx context.Context, m Member) (struct{}, error) {
		return struct{}{}, m.DeleteVolume(ctx, kind, id)
	})
	for _, a := range answers { // a reason for people before others
		if rejected, ok := errors.AsType[*scheduler.RejectedError](a.err); ok {
			return rejected
		}
	}
	return failures(answers)
}

// locks let one call at a time work on a thing.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the thing is let go
}

// take waits for its turn and returns how to let go.
func (l *locks) take(ctx context.Context, key string) (release func(), err error) {
	for {
		l.mu.Lock()
		busy, held := l.held[key]
		if !held {
			if l.held == nil {
				l.held = map[string]chan struct{}{}
			}
			mine := make(chan struct{})
			l.held[key] = mine
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				delete(l.held, key)
				close(mine)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
