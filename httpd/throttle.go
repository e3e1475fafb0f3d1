package httpd

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	// userShare is how many times as much as one token all of a user's credentials may ask together.
	userShare = 4
	// maxBuckets is how many of those who asked are remembered for certain; up to as many again may be. Who is forgotten begins anew.
	maxBuckets = 20_000
)

// Throttle bounds how many requests one credential may make, so that a notebook that asks without end harms nobody else. It counts for this process
// only. The zero value bounds nothing; nil does neither.
type Throttle struct {
	rate      atomic.Pointer[rate]
	throttled *prometheus.CounterVec

	mu    sync.Mutex
	of    map[[sha256.Size]byte]*bucket
	older map[[sha256.Size]byte]*bucket // not used since of was begun
}

// rate is what one credential may ask for.
type rate struct {
	perSecond, burst float64
}

// bucket holds what may be asked at once.
type bucket struct {
	left float64
	seen time.Time
}

// NewThrottle makes a throttle; see [Throttle.Set].
func NewThrottle(perSecond, burst int, r prometheus.Registerer) *Throttle {
	t := &Throttle{throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nomadhub_requests_throttled_total", Help: "Requests to the API that were refused because a token or a user asked too often.",
	}, []string{"by"})}
	if r != nil {
		r.MustRegister(t.throttled)
	}
	t.Set(perSecond, burst)
	return t
}

// Set changes how many requests each token may make per second in the long run, and how many at once beyond that; 0 per second: any number.
func (t *Throttle) Set(perSecond, burst int) {
	t.rate.Store(&rate{float64(perSecond), float64(max(burst, 1))})
}

// token takes account of a request with this secret, before anything is looked up for it.
func (t *Throttle) token(secret string, now time.Time) error {
	return t.take("token", secret, 1, now)
}

// user takes account of a request by this user, with whatever credential.
func (t *Throttle) user(id string, now time.Time) error {
	return t.take("user", id, userShare, now)
}

func (t *Throttle) take(by, name string, share float64, now time.Time) error {
	if t == nil {
		return nil
	}
	r := t.rate.Load()
	if r == nil || r.perSecond <= 0 || name == "" {
		return nil
	}
	key := sha256.Sum256([]byte(by + " " + name))
	wait := t.draw(key, rate{r.perSecond * share, r.burst * share}, now)
	if wait <= 0 {
		return nil
	}
	t.throttled.WithLabelValues(by).Inc()
	e := hub.Errorf(hub.TooMany, "This %s asks too often. Wait a moment, then try again.", by)
	e.RetryAfter = wait
	return e
}

// draw takes one request out of the bucket, or tells how long it takes until there is one.
func (t *Throttle) draw(key [sha256.Size]byte, r rate, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bucket(key)
	if b.seen.IsZero() {
		b.left = r.burst
	} else {
		b.left = min(r.burst, b.left+max(0, now.Sub(b.seen).Seconds())*r.perSecond)
	}
	b.seen = now
	if b.left < 1 {
		return time.Duration((1 - b.left) / r.perSecond * float64(time.Second))
	}
	b.left--
	return 0
}

// bucket finds who asked before; the caller holds mu.
func (t *Throttle) bucket(key [sha256.Size]byte) *bucket {
	if b := t.of[key]; b != nil {
		return b
	}
	b := t.older[key]
	if b == nil {
		b = &bucket{}
	}
	delete(t.older, key)
	if t.of == nil || len(t.of) >= maxBuckets {
		t.of, t.older = make(map[[sha256.Size]byte]*bucket), t.of
	}
	t.of[key] = b
	return b
}
