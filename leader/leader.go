// Package leader runs a function on one replica at a time: the one that holds a lease.
//
//	      campaign                     lead                            trust ends
//	try ─── no ─► wait ─► try ─── yes ─► fn(ctx) ─── renew ─── renew ─── … ──► ctx ends ─► fn returns ─► campaign
//	                                     │                                                (a renewal failed, or
//	                                     └─► fn returns, or Run's ctx ends ─► release      another has it)
//
// The lease is a row in a database, whose clock decides when it ends; that the holder still has it is believed only from the moment
// an attempt began until its time to live less a margin has passed. So the function's context ends before another can have
// the lease, also if the database cannot be reached, or this process was frozen and its timers run again.
package leader

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"time"
)

// ErrLost is the cause with which the function's context ends when the lease is lost.
var ErrLost = errors.New("leader: the lease is lost")

// Lease is what one replica at a time can hold under a name.
type Lease interface {
	// AcquireLease takes or renews the lease for ttl from now. It tells whether the holder has it, and a number that rises each
	// time that the lease changes hands.
	AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (held bool, fence int64, err error)
	// ReleaseLease gives it back; nil if the holder did not have it.
	ReleaseLease(ctx context.Context, name, holder string) error
}

// Options say which lease and how. Only Name is required.
type Options struct {
	// Name of the lease.
	Name string
	// Holder tells this call of Run from all others, on all replicas; "": a random one.
	Holder string
	// TTL is how long the lease outlives a holder that vanishes; 0: 15 seconds.
	TTL time.Duration
	// Margin is how long before its end the lease is no longer trusted: what the function needs to notice, and what the clocks of
	// this machine and the database may gain on each other meanwhile; 0: a fifth of TTL.
	Margin time.Duration
	// Interval is how often the lease is tried for or renewed, more or less; 0: a third of the time it is trusted.
	Interval time.Duration
	// Logger gets changes of hands and failures; nil: nobody does.
	Logger *slog.Logger
}

// complete fills in what was left out.
func (o Options) complete() (Options, error) {
	o.Holder = cmp.Or(o.Holder, rand.Text())
	o.TTL = cmp.Or(o.TTL, 15*time.Second)
	o.Margin = cmp.Or(o.Margin, o.TTL/5)
	o.Interval = cmp.Or(o.Interval, (o.TTL-o.Margin)/3)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("lease", o.Name, "holder", o.Holder)
	switch {
	case o.Name == "":
		return o, errors.New("leader: the lease has no name")
	case o.Margin < 0 || o.TTL <= o.Margin:
		return o, errors.New("leader: the margin must be shorter than the lease's time to live")
	case o.Interval <= 0 || o.Interval >= o.TTL-o.Margin:
		return o, errors.New("leader: the lease must be renewed while it is trusted: the interval is too long")
	}
	return o, nil
}

// Run waits for the lease, then runs fn while it is held. When the lease is lost, fn's context ends with the cause [ErrLost];
// once fn has returned, Run waits for the lease again. fn must return soon after its context ends.
//
// Run returns what fn returns when it does so by itself, while the lease is held; and nil when ctx ends, after fn has returned.
// Either way the lease is given back, so that the next replica need not wait for its end. An error of the lease, such as a
// database that is away, is logged and tried again.
func Run(ctx context.Context, lease Lease, opts Options, fn func(ctx context.Context) error) error {
	opts, err := opts.complete()
	if err != nil {
		return err
	}
	c := &candidate{Options: opts, lease: lease}
	for {
		trust, ok := c.campaign(ctx)
		if !ok {
			return nil
		}
		done, err := c.lead(ctx, trust, fn)
		if done || ctx.Err() != nil {
			c.release(ctx)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // fn was told to end, and what it says to that is no failure
		}
		if done {
			return err
		}
	}
}

type candidate struct {
	Options
	lease   Lease
	failing bool // the last attempt failed, and was logged
}

// campaign tries for the lease until it is held, and returns the time until which that can be trusted. It is not ok when ctx ends.
func (c *candidate) campaign(ctx context.Context) (trust time.Time, ok bool) {
	for ctx.Err() == nil {
		trust, held, err := c.attempt(ctx, time.Now().Add(c.TTL))
		if err == nil && held {
			return trust, true
		}
		if !wait(ctx, c.pause()) {
			break
		}
	}
	c.release(ctx) // an attempt that was cut off may have succeeded
	return time.Time{}, false
}

// attempt tries for the lease once, or renews it, and gives up at the deadline. If it is held, that can be trusted until TTL
// less the margin after the attempt began, however late the answer came.
func (c *candidate) attempt(ctx context.Context, deadline time.Time) (trust time.Time, held bool, err error) {
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	held, fence, err := c.lease.AcquireLease(limited, c.Name, c.Holder, c.TTL)
	trust = began.Add(c.TTL - c.Margin)
	switch {
	case ctx.Err() != nil:
	case err != nil && !c.failing:
		c.Logger.WarnContext(ctx, "lease cannot be asked for", "err", err)
	case err == nil && c.failing:
		c.Logger.InfoContext(ctx, "lease can be asked for again", "held", held, "fence", fence)
	}
	c.failing = err != nil
	if held && !time.Now().Before(trust) {
		held = false // the answer came too late to be worth anything
	}
	return trust, held && err == nil, err
}

// lead runs fn until it returns, and renews the lease meanwhile. It is done if fn returned by itself or ctx ended, and not done
// if the lease was lost.
func (c *candidate) lead(ctx context.Context, trust time.Time, fn func(context.Context) error) (done bool, err error) {
	c.Logger.InfoContext(ctx, "lease taken")
	led, lose := context.WithCancelCause(ctx)
	defer lose(nil)
	// A timer of its own: it fires on time also while a renewal hangs.
	doubt := time.AfterFunc(time.Until(trust), func() { lose(ErrLost) })
	defer doubt.Stop()

	returned := make(chan error, 1)
	go func() { returned <- fn(led) }()
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		c.renew(led, trust, doubt, lose)
	}()
	err = <-returned
	lost := errors.Is(context.Cause(led), ErrLost)
	lose(nil)
	<-renewed
	if !lost {
		return true, err
	}
	c.Logger.WarnContext(ctx, "lease lost", "err", err)
	return false, nil
}

// renew renews the lease until ctx ends, which it does when the lease is lost.
func (c *candidate) renew(ctx context.Context, trust time.Time, doubt *time.Timer, lose context.CancelCauseFunc) {
	for wait(ctx, c.pause()) {
		next, held, err := c.attempt(ctx, trust)
		switch {
		case err != nil: // try again while there is trust
		case !held:
			lose(ErrLost)
		case doubt.Reset(time.Until(next)): // it had not fired
			trust = next
		default:
			lose(ErrLost) // it fires a second time, which does nothing
		}
	}
}

// release gives the lease back, also when ctx has ended.
func (c *candidate) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.TTL/3)
	defer cancel()
	if err := c.lease.ReleaseLease(ctx, c.Name, c.Holder); err != nil {
		c.Logger.WarnContext(ctx, "lease not released; it ends by itself", "err", err)
	}
}

// pause is about the interval, so that replicas get out of step. While attempts fail it is shorter.
func (c *candidate) pause() time.Duration {
	d := c.Interval
	if c.failing {
		d /= 4
	}
	return d - d/8 + mathrand.N(d/8+1)
}

// wait is false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
