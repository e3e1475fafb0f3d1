// Package leader runs a function on one of several replicas at a time: on the one that holds a lease.
//
//	acquire ─► held: run fn, renew every TTL/3 ─► renewal late or refused: fn's context ends ─► acquire …
//
// A lease is trusted from the moment before it was asked for until a margin before it ends, so that a replica which was frozen, or whose clock
// drifts a little, stops before another one starts.
package leader

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Lease is a named lease in a place that all replicas share.
type Lease interface {
	// AcquireLease takes or renews the lease for ttl from now, and tells whether the holder has it. fence rises with each change of hands.
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, fence int64, err error)
	// ReleaseLease gives it back, if the holder has it.
	ReleaseLease(ctx context.Context, name, holder string) error
}

// Options say which lease, and for whom. Name, Holder and TTL are required.
type Options struct {
	Name   string
	Holder string        // unique among replicas
	TTL    time.Duration // how long a lease outlives a replica that died with it
	Logger *slog.Logger  // nil: nothing is logged
}

// ErrLost is the cause for which fn's context ends when the lease is lost.
var ErrLost = errors.New("leader: the lease was lost")

const releaseTimeout = 2 * time.Second

// Run waits for the lease, runs fn while it is held, and begins again when it is lost. It returns when ctx ends, or with fn's error if fn returns one
// while the lease is held; if fn returns nil, so does Run.
func Run(ctx context.Context, lease Lease, o Options, fn func(context.Context) error) error {
	if o.Name == "" || o.Holder == "" || o.TTL <= 0 {
		return errors.New("leader: Name, Holder and TTL are required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for {
		until, err := attempt(ctx, lease, o)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			o.Logger.WarnContext(ctx, "lease could not be asked for", "lease", o.Name, "err", err)
		case !until.IsZero():
			o.Logger.InfoContext(ctx, "lease acquired", "lease", o.Name)
			if err := hold(ctx, lease, o, until, fn); !errors.Is(err, ErrLost) {
				return err
			}
			o.Logger.WarnContext(ctx, "lease lost", "lease", o.Name)
		}
		// Replicas that wait do not ask all at the same moment.
		if !pause(ctx, o.TTL/3+rand.N(o.TTL/6)) { //nolint:gosec // spreads load; not a secret
			return ctx.Err()
		}
	}
}

// attempt asks for the lease once. It returns until when it may be trusted; the zero time means that somebody else has it.
func attempt(ctx context.Context, lease Lease, o Options) (time.Time, error) {
	asked := time.Now()
	actx, cancel := context.WithTimeout(ctx, o.TTL/3)
	defer cancel()
	held, _, err := lease.AcquireLease(actx, o.Name, o.Holder, o.TTL)
	if err != nil || !held {
		return time.Time{}, err
	}
	return asked.Add(o.TTL - o.TTL/5), nil
}

// hold runs fn and renews the lease beside it, until fn returns, ctx ends, or the lease is lost.
func hold(ctx context.Context, lease Lease, o Options, until time.Time, fn func(context.Context) error) error {
	fctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan error, 1)
	go func() { done <- fn(fctx) }()
	renew := time.NewTicker(o.TTL / 3)
	defer renew.Stop()
	expiry := time.NewTimer(time.Until(until))
	defer expiry.Stop()
	for {
		select {
		case err := <-done:
			release(ctx, lease, o)
			return err
		case <-expiry.C:
			end(ErrLost)
			<-done
			return ErrLost
		case <-renew.C:
			next, err := attempt(ctx, lease, o)
			if err == nil && next.IsZero() {
				end(ErrLost)
				<-done
				return ErrLost
			}
			if err == nil {
				expiry.Reset(time.Until(next))
			}
		}
	}
}

// release gives the lease back even when ctx has ended, so that the next replica need not wait for it to run out.
func release(ctx context.Context, lease Lease, o Options) {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := lease.ReleaseLease(rctx, o.Name, o.Holder); err != nil {
		o.Logger.WarnContext(rctx, "lease not released, it will run out", "lease", o.Name, "err", err)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
