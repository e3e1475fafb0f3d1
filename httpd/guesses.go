package httpd

import (
	"crypto/sha256"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	maxRemembered = 20_000              // names, addresses and so on; up to twice as many, see recent
	knownFor      = 30 * 24 * time.Hour // how long an address counts as one from which a name logs in
	rightFor      = time.Hour           // how long an address counts as one from which right tokens come
	rightAgain    = time.Minute         // how often that is noted
	sameTokens    = 4                   // wrong tokens of one address that are known again
	addressBits   = 56                  // of an IPv6 address, which are those of one customer
)

// Guesses slows down who guesses passwords and tokens, and nobody else. It counts for this process only. nil slows nobody down.
//
// A wrong password counts for the name and for the address that it came from, unless it came from where the name has logged in before: from a browser that shows
// it by a signed cookie, or from an address. Such a place has a count of its own. So whoever hammers a name from elsewhere makes others wait who come from
// elsewhere, but never the owner at their own desk.
//
// Wrong tokens count for the address. An address from which right ones came lately never waits: behind it are notebooks.
type Guesses struct {
	now     func() time.Time
	refused *prometheus.CounterVec
	wrong   *prometheus.CounterVec

	mu       sync.Mutex
	name     pace
	address  pace
	names    recent[[sha256.Size]byte, tally] // by name; by browser; by name and address where they are known together
	pairs    recent[[sha256.Size]byte, tally] // what a name and an address gave to the counts of both
	known    recent[[sha256.Size]byte, time.Time]
	from     recent[netip.Prefix, tally]
	tokens   recent[netip.Prefix, wrongTokens]
	rightsOf recent[netip.Prefix, time.Time]
}

// wrongTokens are those that came from one address.
type wrongTokens struct {
	tally

	last [sameTokens][sha256.Size]byte // so that a program which repeats one counts once
	next int
}

// NewGuesses makes a Guesses. perName and perAddress are as in [Guesses.Set]; now is the clock.
func NewGuesses(perName, perAddress int, now func() time.Time, r prometheus.Registerer) *Guesses {
	g := &Guesses{
		now: now,
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_guesses_refused_total", Help: "Passwords and tokens that were not looked at, because there had been too many wrong ones.",
		}, []string{"by"}),
		wrong: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_wrong_credentials_total", Help: "Passwords and tokens that were wrong.",
		}, []string{"kind"}),
	}
	g.names.most, g.pairs.most, g.known.most = maxRemembered, maxRemembered, maxRemembered
	g.from.most, g.tokens.most, g.rightsOf.most = maxRemembered, maxRemembered, maxRemembered
	for _, by := range []string{"name", "address", "familiar", "token"} {
		g.refused.WithLabelValues(by)
	}
	for _, kind := range []string{"password", "token"} {
		g.wrong.WithLabelValues(kind)
	}
	if r != nil {
		r.MustRegister(g.refused, g.wrong)
	}
	g.Set(perName, perAddress)
	return g
}

// Set changes how many wrong passwords there may be for one name, and from one address, before the next has to wait; 0: any number.
func (g *Guesses) Set(perName, perAddress int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.name = pace{free: perName, parallel: perName, first: time.Second, longest: 10 * time.Minute, forgive: 10 * time.Minute}
	// A class behind one address logs in at once, and waits for its provider together.
	g.address = pace{free: perAddress, parallel: 4 * perAddress, first: time.Second, longest: 30 * time.Minute, forgive: 30 * time.Minute}
}

// tokenPace is for wrong tokens from an address. Nobody can guess a token; it keeps strangers from having the database asked without end.
func tokenPace() pace {
	return pace{free: 100, parallel: math.MaxInt, first: time.Second, longest: time.Minute, forgive: 10 * time.Second}
}

// Attempt is one name and password that are about to be looked at. Of Wrong, Right and End the first that is called counts. A nil Attempt does nothing.
type Attempt struct {
	guesses *Guesses
	name    string
	device  string // that of the cookie, or ""
	address netip.Prefix
	counts  []count
	over    bool
}

// count is a tally that an attempt is held to.
type count struct {
	by   string
	pace pace
	*tally
}

// begin says whether the attempt may be made now, or returns a TooMany error. device is the browser's ID if it is known that the name logged in with it.
func (g *Guesses) begin(name, device string, address netip.Prefix) (*Attempt, error) {
	if g == nil {
		return nil, nil //nolint:nilnil // a nil Attempt is one that is not counted
	}
	a := &Attempt{guesses: g, name: hub.NormalizeUserName(name), device: device, address: address}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	a.counts = g.countsOf(a, now)
	var wait time.Duration
	var by string
	for _, c := range a.counts {
		if w := c.wait(c.pace, now); w > wait {
			wait, by = w, c.by
		}
	}
	if wait > 0 {
		g.refused.WithLabelValues(by).Inc()
		return nil, errTooManyGuesses("attempts to log in", wait)
	}
	for _, c := range a.counts {
		c.asking++
	}
	return a, nil
}

func errTooManyGuesses(what string, wait time.Duration) error {
	e := hub.Errorf(hub.TooMany, "Too many %s failed. Wait %s, then try again.", what, waitText(wait))
	e.RetryAfter = wait
	return e
}

func waitText(d time.Duration) string {
	switch {
	case d <= time.Second:
		return "a second"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds", int(math.Ceil(d.Seconds())))
	}
	return fmt.Sprintf("%d minutes", int(math.Ceil(d.Minutes())))
}

// countsOf are the tallies that an attempt is held to; the caller holds mu.
func (g *Guesses) countsOf(a *Attempt, now time.Time) []count {
	keepName := func(t *tally) bool { t.fade(g.name, now); return t.asking > 0 || t.wrong >= g.name.free }
	pair := a.pairKey()
	if at := g.known.peek(pair); a.device != "" || at != nil && now.Sub(*at) < knownFor {
		key := pair
		if a.device != "" {
			key = digest("device", a.device)
		}
		return []count{{"familiar", g.name, g.names.take(key, keepName)}}
	}
	counts := []count{{"name", g.name, g.names.take(digest("name", a.name), keepName)}}
	if a.address.IsValid() {
		keepAddress := func(t *tally) bool { t.fade(g.address, now); return t.asking > 0 || t.wrong >= g.address.free }
		counts = append(counts, count{"address", g.address, g.from.take(a.address, keepAddress)})
	}
	return counts
}

func (a *Attempt) pairKey() [sha256.Size]byte { return digest("pair", a.name, a.address.String()) }

// digest is a key of bounded size for texts that strangers choose.
func digest(texts ...string) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d %s\n", len(t), t)
	}
	h.Sum(key[:0])
	return key
}

// end has the counts told how the attempt went, once.
func (a *Attempt) end(tell func(now time.Time)) {
	if a == nil {
		return
	}
	a.guesses.mu.Lock()
	defer a.guesses.mu.Unlock()
	if a.over {
		return
	}
	a.over = true
	for _, c := range a.counts {
		c.asking--
	}
	tell(a.guesses.now())
}

// End says that the attempt is over, and that nothing is known of its password: the provider could not be asked.
func (a *Attempt) End() { a.end(func(time.Time) {}) }

// Wrong says that the password was wrong.
func (a *Attempt) Wrong() {
	a.end(func(now time.Time) {
		g := a.guesses
		g.wrong.WithLabelValues("password").Inc()
		for _, c := range a.counts {
			c.add(c.pace, now)
		}
		if len(a.counts) > 1 {
			g.pairs.take(a.pairKey(), nil).add(g.address, now)
		}
	})
}

// right says that the password was right. What this name has done wrong from this address is forgiven; what others have done is not, so nobody can wipe out
// their guesses by an account of their own.
func (a *Attempt) right() {
	a.end(func(now time.Time) {
		g := a.guesses
		pair := a.pairKey()
		forgiven := math.MaxInt
		if a.counts[0].by != "familiar" {
			forgiven = 0
			if t := g.pairs.peek(pair); t != nil {
				t.fade(g.address, now)
				forgiven = t.wrong
			}
		}
		for _, c := range a.counts {
			c.drop(forgiven)
		}
		g.pairs.forget(pair)
		if a.address.IsValid() {
			*g.known.take(pair, nil) = now
		}
	})
}

// mayTry says whether a token from this address may be looked at now, or returns a TooMany error.
func (g *Guesses) mayTry(address netip.Prefix) error {
	if g == nil || !address.IsValid() {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.tokens.peek(address)
	if w == nil {
		return nil
	}
	now := g.now()
	wait := w.wait(tokenPace(), now)
	if at := g.rightsOf.peek(address); wait <= 0 || at != nil && now.Sub(*at) < rightFor {
		return nil
	}
	g.refused.WithLabelValues("token").Inc()
	return errTooManyGuesses("requests with wrong tokens", wait)
}

// tried takes account of a token that was looked at.
func (g *Guesses) tried(address netip.Prefix, token string, right bool) {
	if g == nil {
		return
	}
	if !right {
		g.wrong.WithLabelValues("token").Inc()
	}
	if !address.IsValid() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if right {
		if at := g.rightsOf.peek(address); at == nil || now.Sub(*at) >= rightAgain {
			*g.rightsOf.take(address, nil) = now
		}
		return
	}
	w := g.tokens.take(address, func(w *wrongTokens) bool { w.fade(tokenPace(), now); return w.wrong >= tokenPace().free })
	if sum := sha256.Sum256([]byte(token)); !slices.Contains(w.last[:], sum) {
		w.last[w.next] = sum
		w.next = (w.next + 1) % sameTokens
		w.add(tokenPace(), now)
	}
}

// addressOf is where a request comes from, as far as it tells one person from another; not valid if it is not known.
func addressOf(r *http.Request) netip.Prefix {
	ip := ClientIP(r).Unmap().WithZone("")
	if !ip.IsValid() {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = addressBits
	}
	p, _ := ip.Prefix(bits) // fails for no address of this many bits
	return p
}
