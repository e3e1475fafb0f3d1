package leader_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nomadhub/nomadhub/leader"
)

// table is a lease in memory, by the clock of the test's bubble.
type table struct {
	mu       sync.Mutex
	holder   string
	expires  time.Time
	fence    int64
	err      error         // what AcquireLease returns meanwhile
	delay    time.Duration // how long its answer takes
	deaf     bool          // the delay heeds no context
	released int
}

func (l *table) AcquireLease(ctx context.Context, _, holder string, ttl time.Duration) (bool, int64, error) {
	l.mu.Lock()
	held := false
	if l.err == nil && (l.holder == holder || !time.Now().Before(l.expires)) {
		if l.holder != holder {
			l.fence++
		}
		held, l.holder, l.expires = true, holder, time.Now().Add(ttl)
	}
	err, delay, deaf, fence := l.err, l.delay, l.deaf, l.fence
	l.mu.Unlock()
	if deaf {
		<-time.After(delay)
		return held, fence, err
	}
	select {
	case <-ctx.Done():
		return false, 0, ctx.Err()
	case <-time.After(delay):
		return held, fence, err
	}
}

func (l *table) ReleaseLease(_ context.Context, _, holder string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder == holder {
		l.holder, l.expires = "", time.Time{}
		l.released++
	}
	return nil
}

func (l *table) change(f func(l *table)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func options(holder string) leader.Options {
	return leader.Options{Name: "cull", Holder: holder, TTL: 15 * time.Second, Margin: 3 * time.Second}
}

func until(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestRunReturnsWhatTheFunctionReturnsAndReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		boom := errors.New("boom")
		if err := leader.Run(t.Context(), l, options("a"), func(context.Context) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("Run: %v", err)
		}
		if err := leader.Run(t.Context(), l, options("b"), func(context.Context) error { return nil }); err != nil {
			t.Errorf("Run: %v", err)
		}
		if l.holder != "" || l.released != 2 || l.fence != 2 {
			t.Errorf("holder %q, released %d times, fence %d", l.holder, l.released, l.fence)
		}
	})
}

func TestRunRenewsForAsLongAsTheFunctionRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		err := leader.Run(t.Context(), l, options("a"), func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Hour):
				return nil
			}
		})
		if err != nil || l.fence != 1 {
			t.Errorf("err %v, fence %d", err, l.fence)
		}
	})
}

func TestShutdownEndsTheFunctionThenReleases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var returned time.Time
		err := leader.Run(ctx, l, options("a"), func(ctx context.Context) error {
			<-ctx.Done()
			l.change(func(l *table) {
				if l.holder != "a" {
					t.Error("released while the function still ran")
				}
			})
			<-time.After(time.Second) // puts its things away
			returned = time.Now()
			return ctx.Err()
		})
		if err != nil || l.released != 1 || !returned.Equal(time.Now()) {
			t.Errorf("err %v, released %d times, %v after the function", err, l.released, time.Since(returned))
		}
	})
}

func TestOneLeadsAndTheOtherFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		var mu sync.Mutex
		leading := 0
		terms := map[string]int{}
		work := func(name string) func(context.Context) error {
			return func(ctx context.Context) error {
				mu.Lock()
				leading++
				terms[name]++
				if leading > 1 {
					t.Error("two lead at once")
				}
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				leading--
				mu.Unlock()
				return ctx.Err()
			}
		}
		ctxA, stopA := context.WithCancel(t.Context())
		ctxB, stopB := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = leader.Run(ctxA, l, options("a"), work("a")) })
		synctest.Wait()
		wg.Go(func() { _ = leader.Run(ctxB, l, options("b"), work("b")) })
		<-time.After(10 * time.Minute)
		check := func(a, b int) {
			mu.Lock()
			defer mu.Unlock()
			if terms["a"] != a || terms["b"] != b {
				t.Errorf("terms %v", terms)
			}
		}
		check(1, 0)
		stopA()
		<-time.After(5 * time.Second) // an interval and a little: it was released, and need not run out
		check(1, 1)
		stopB()
		wg.Wait()
	})
}

// While the database is away, the function ends before another replica could have the lease, and runs again afterwards.
func TestTrustEndsWhenTheLeaseCannotBeRenewed(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(l *table){
		"it fails":               func(l *table) { l.err = errors.New("connection refused") },
		"it hangs":               func(l *table) { l.delay = time.Hour },
		"it hangs without sense": func(l *table) { l.delay, l.deaf = 20*time.Second, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := new(table)
				terms := 0
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := leader.Run(ctx, l, options("a"), func(ctx context.Context) error {
					terms++
					if terms == 2 {
						cancel()
						return nil
					}
					began := time.Now()
					<-time.After(time.Minute)
					if ctx.Err() != nil {
						t.Error("lost without trouble")
					}
					l.change(trouble)
					err := until(ctx)
					l.change(func(l *table) {
						if !errors.Is(err, leader.ErrLost) {
							t.Errorf("the cause is %v", err)
						}
						// Hanging attempts did reach the table, and moved the end; what counts is the last answer.
						if l.err != nil && time.Until(l.expires) < 3*time.Second {
							t.Errorf("ended %v before the lease did", time.Until(l.expires))
						}
						l.err, l.delay, l.deaf = nil, 0, false
					})
					if took := time.Since(began) - time.Minute; took > 12*time.Second {
						t.Errorf("trusted for %v after the trouble began", took)
					}
					return err
				})
				if err != nil || terms != 2 {
					t.Errorf("err %v after %d terms", err, terms)
				}
			})
		})
	}
}

func TestLeaseTakenByAnotherEndsTheTerm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		terms := 0
		err := leader.Run(ctx, l, options("a"), func(ctx context.Context) error {
			terms++
			l.change(func(l *table) { l.holder, l.expires = "thief", time.Now().Add(time.Hour) })
			began := time.Now()
			if err := until(ctx); !errors.Is(err, leader.ErrLost) {
				t.Errorf("the cause is %v", err)
			}
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("noticed after %v, which is more than an interval", took)
			}
			return nil
		})
		if err != nil || terms != 1 || l.holder != "thief" || l.released != 0 {
			t.Errorf("err %v, %d terms, holder %q", err, terms, l.holder)
		}
	})
}

// An answer that took longer than the lease is trusted for is worth nothing.
func TestAnswerThatComesTooLateIsNotBelieved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &table{delay: 13 * time.Second, deaf: true}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := leader.Run(ctx, l, options("a"), func(context.Context) error {
			t.Error("the function ran")
			return nil
		})
		if err != nil || l.holder != "" {
			t.Errorf("err %v, holder %q", err, l.holder)
		}
	})
}

func TestErrorOfTheFunctionAfterTheLossDoesNotEndRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := new(table)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		terms := 0
		err := leader.Run(ctx, l, options("a"), func(ctx context.Context) error {
			if terms++; terms == 2 {
				cancel()
				return nil
			}
			l.change(func(l *table) { l.holder, l.expires = "thief", time.Now().Add(time.Minute) })
			<-ctx.Done()
			return errors.New("cut off in the middle")
		})
		if err != nil || terms != 2 {
			t.Errorf("err %v, %d terms", err, terms)
		}
	})
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]leader.Options{
		"no name":       {},
		"long margin":   {Name: "x", TTL: time.Second, Margin: time.Second},
		"long interval": {Name: "x", TTL: 10 * time.Second, Margin: time.Second, Interval: 9 * time.Second},
		"negative":      {Name: "x", TTL: -time.Second},
	} {
		err := leader.Run(t.Context(), new(table), o, func(context.Context) error {
			t.Errorf("%s: the function ran", name)
			return nil
		})
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
