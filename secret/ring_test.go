package secret

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStore holds one secret and can be switched off.
type fakeStore struct {
	mu     sync.Mutex
	values map[string]Value
	err    error
	hang   bool
	reads  int
}

func (s *fakeStore) Get(ctx context.Context, _ string) (Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.hang {
		<-ctx.Done()
		return Secret{}, errors.Join(ErrUnavailable, ctx.Err())
	}
	return Secret{Values: s.values, Version: s.reads}, s.err
}

func (s *fakeStore) set(values map[string]Value, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values, s.err = values, err
}

func (s *fakeStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func testLog(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func watchedRing(t *testing.T, store Store) *Ring {
	t.Helper()
	ring, err := NewRing(RingOptions{Store: store, Name: "keys", Logger: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestRingFailsClosed(t *testing.T) {
	t.Parallel()
	store := &fakeStore{err: ErrUnavailable}
	ring := watchedRing(t, store)
	if err := ring.Load(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("Load: %v", err)
	}
	store.set(nil, nil)
	if err := ring.Load(t.Context()); err == nil {
		t.Fatal("a secret without keys was loaded")
	}
	code := ring.Sign("p", nil)
	if code != "" || ring.Verify("p", nil, code) || ring.Verify("p", nil, "a.AAAA") {
		t.Errorf("signs %q or verifies without a key", code)
	}
	if _, err := ring.Seal("p", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Seal: %v", err)
	}
	if _, err := ring.Open("p", "a.AAAA"); !errors.Is(err, ErrSealed) {
		t.Errorf("Open: %v", err)
	}
	if !ring.LastRead().IsZero() || ring.Keys() != nil {
		t.Error("says that it has read something")
	}
}

func TestRingFollowsTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k1, k2 := randomKey(t), randomKey(t)
		store := &fakeStore{values: map[string]Value{"1": k1}}
		ring := watchedRing(t, store)
		if err := ring.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- ring.Run(ctx) }()
		code := ring.Sign("p", nil)

		for _, trouble := range []error{ErrUnavailable, ErrNotFound, nil} { // nil: an empty ring
			store.set(nil, trouble)
			<-time.After(DefaultInterval + time.Second)
			if ring.Sign("p", nil) != code || !ring.Verify("p", nil, code) {
				t.Errorf("after %v the last good ring is lost", trouble)
			}
		}
		store.set(map[string]Value{"1": k1, "2": k2}, nil)
		<-time.After(DefaultInterval + time.Second)
		if ring.Keys().Current() != "2" || !ring.Verify("p", nil, code) {
			t.Error("rotation not followed")
		}
		store.set(map[string]Value{"2": k2}, nil)
		<-time.After(DefaultInterval + time.Second)
		if ring.Verify("p", nil, code) {
			t.Error("removed key still verifies")
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
}

// Two replicas read at different moments. The one that is late must not refuse what the other signed with the new key.
func TestRingLooksForUnknownKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k1, k2 := randomKey(t), randomKey(t)
		store := &fakeStore{values: map[string]Value{"1": k1}}
		ring := watchedRing(t, store)
		if err := ring.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		other := newRing(t, map[string]Value{"1": k1, "2": k2})
		store.set(map[string]Value{"1": k1, "2": k2}, nil)
		sealed, err := other.Seal("p", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Open("p", sealed); err != nil {
			t.Errorf("sealed by the other replica: %v", err)
		}
		if !ring.Verify("p", nil, other.Sign("p", nil)) {
			t.Error("signed by the other replica: refused")
		}
		before := store.count()
		for range 1000 { // forged codes cost the store one read a second
			ring.Verify("p", nil, "unknown.AAAA")
			ring.Verify("p", nil, "not a code")
		}
		if n := store.count() - before; n > 1 {
			t.Errorf("%d reads for forged codes", n)
		}
	})
}

func TestUnknownKeysDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{values: map[string]Value{"1": randomKey(t)}}
		ring := watchedRing(t, store)
		if err := ring.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.hang = true
		code, start := ring.Sign("p", nil), time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { ring.Verify("p", nil, "unknown.AAAA") })
		}
		if !ring.Verify("p", nil, code) || time.Since(start) != 0 {
			t.Error("a known key waits for the store")
		}
		wg.Wait()
		if d := time.Since(start); d > 2*unknownKeyTimeout {
			t.Errorf("waited %s", d)
		}
	})
}

func TestCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &fakeStore{err: ErrUnavailable}
		c, err := NewCached(CachedOptions{Store: store, Name: "oauth", Key: "client_secret", Logger: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Load(t.Context()); !errors.Is(err, ErrUnavailable) || c.Get() != "" {
			t.Fatalf("Load: %v", err)
		}
		store.set(map[string]Value{"client_secret": "one\n"}, nil)
		if err := c.Load(t.Context()); err != nil || c.Get().Reveal() != "one" {
			t.Fatalf("Load: %v", err)
		}
		store.set(map[string]Value{"other": "x"}, nil)
		if err := c.Refresh(t.Context()); !errors.Is(err, ErrNotFound) || c.Get().Reveal() != "one" {
			t.Errorf("a secret without the value: %v", err)
		}
		store.set(map[string]Value{"client_secret": "two"}, nil)
		if err := c.Refresh(t.Context()); err != nil || c.Get().Reveal() != "two" {
			t.Errorf("Refresh: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		store.set(map[string]Value{"client_secret": "three"}, nil)
		<-time.After(DefaultInterval + time.Second)
		if c.Get().Reveal() != "three" {
			t.Error("Run does not follow the store")
		}
		cancel()
		<-done
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	if _, err := NewRing(RingOptions{Store: &fakeStore{}}); err == nil {
		t.Error("ring without a name")
	}
	if _, err := NewCached(CachedOptions{Store: &fakeStore{}, Name: "x"}); err == nil {
		t.Error("cached value without a key")
	}
}
