package httpd_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

const tries = 100_000 // of each attack

// siege is a login whose only right password is "right", and a clock that stands still unless somebody moves it.
type siege struct {
	*httpd.Sessions

	now    time.Time
	looked int // passwords that were looked at
}

func besiege(t *testing.T) *siege {
	t.Helper()
	s := &siege{Sessions: newSessions(t), now: time.Date(2030, 1, 31, 23, 59, 0, 0, time.UTC)}
	s.Guesses = httpd.NewGuesses(5, 50, func() time.Time { return s.now }, nil)
	return s
}

// from is a login from an address.
func from(address string, cookies ...*http.Cookie) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/hub/login"}, Header: http.Header{}, RemoteAddr: net.JoinHostPort(address, "4711")}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	var out *http.Request
	middleware.ClientIPFromRemoteAddr(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { out = r })).ServeHTTP(nil, r)
	return out
}

// login tries a password, and returns how long to wait if nobody looked at it.
func (s *siege) login(r *http.Request, name, password string) (wait time.Duration, cookies []*http.Cookie) {
	try, err := s.Attempt(r, name)
	if he, ok := err.(*hub.Error); ok { //nolint:errorlint // this very error
		return he.RetryAfter, nil
	}
	defer try.End()
	s.looked++
	if password != "right" {
		try.Wrong()
		return 0, nil
	}
	w := httptest.NewRecorder()
	s.Welcome(w, r, try)
	return 0, w.Result().Cookies()
}

func TestF44_BruteForce(t *testing.T) {
	t.Parallel()
	name := func(i int) string { return "user-" + strconv.Itoa(i) }
	address := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
	one := func(s string) func(int) string { return func(int) string { return s } }
	for what, c := range map[string]struct {
		name, address func(int) string
		every         time.Duration
		tries, most   int // passwords that are tried, and that may be looked at
	}{
		"a name, from one address":    {one("alice"), one("10.0.0.1"), time.Second, tries, 5 + 12 + tries/600},
		"a name, from many addresses": {one("alice"), address, 100 * time.Millisecond, tries, 5 + 12 + tries/6000},
		"many names, from an address": {name, one("10.0.0.1"), time.Second, tries, 50 + 13 + tries/1800},
		"spellings of a name":         {func(i int) string { return []string{"alice", "ALICE", " alice", "Alice "}[i%4] }, address, 10 * time.Second, 10_000, 5 + 12 + 10_000/60},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := besiege(t)
			requests := map[string]*http.Request{}
			for i := range c.tries {
				at := c.address(i % 4096) // making requests takes longer than all the rest
				if requests[at] == nil {
					requests[at] = from(at)
				}
				wait, _ := s.login(requests[at], c.name(i), "guess")
				if wait < 0 || wait > 30*time.Minute {
					t.Fatalf("one has to wait %s", wait)
				}
				s.now = s.now.Add(c.every)
			}
			if s.looked > c.most || s.looked < 10 {
				t.Errorf("of %d passwords %d were looked at, of %d that may be", c.tries, s.looked, c.most)
			}
			if n := httpd.Remembered(s.Guesses); n > 240_000 {
				t.Errorf("%d are remembered", n)
			}
		})
	}
}

// TestF44_MemoryIsBounded: a guess each on very many names, from very many addresses, fills no memory, and has nobody forgotten who has to wait.
func TestF44_MemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	here := from("192.0.2.1")
	for range 10 {
		s.login(here, "alice", "guess")
	}
	for i := range tries / 2 { // more than twice what is remembered
		s.login(from(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)), strconv.Itoa(i), "guess")
	}
	if n := httpd.Remembered(s.Guesses); n < 40_000 || n > 240_000 {
		t.Errorf("%d are remembered", n)
	}
	if wait, _ := s.login(from("192.0.2.2"), "alice", "right"); wait == 0 {
		t.Error("a flood of other names has the wrong passwords for alice forgotten")
	}
}

// TestF44_TheOwnerIsNotLockedOut: while others guess at a name without end, its owner logs in from where they did before.
func TestF44_TheOwnerIsNotLockedOut(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	home, away := from("192.0.2.1"), from("198.51.100.7")
	_, laptop := s.login(home, "alice", "right")
	hammer := func(rounds int) {
		for i := range rounds {
			s.login(from("203.0.113."+strconv.Itoa(i%200)), "Alice", "guess")
			s.now = s.now.Add(time.Second)
		}
	}
	hammer(5000)
	if wait, _ := s.login(away, "alice", "right"); wait == 0 {
		t.Error("a name at which others guess can be logged in from anywhere")
	}
	if wait, _ := s.login(home, "alice", "right"); wait != 0 {
		t.Errorf("from where she logged in before, alice waits %s", wait)
	}
	travelling := from("198.51.100.8", laptop...)
	if wait, _ := s.login(travelling, "alice", "right"); wait != 0 {
		t.Errorf("with her own laptop on a journey, alice waits %s", wait)
	}
	// Neither lets in anybody else without waiting.
	if wait, _ := s.login(from("198.51.100.9", laptop...), "bob", "right"); wait != 0 {
		t.Errorf("bob waits %s for nothing", wait)
	}
	hammer(10)
	s2 := from("198.51.100.10", &http.Cookie{Name: httpd.DeviceCookie, Value: laptop[0].Value + "x"})
	if wait, _ := s.login(s2, "alice", "right"); wait == 0 {
		t.Error("a forged cookie is believed")
	}
	// A laptop that was stolen guesses no faster than anybody.
	looked := s.looked
	for range 1000 {
		s.login(travelling, "alice", "guess")
	}
	if n := s.looked - looked; n > 5 {
		t.Errorf("with her laptop %d passwords were tried at once", n)
	}
	// And its wait makes nobody wait at home.
	if wait, _ := s.login(home, "alice", "right"); wait != 0 {
		t.Errorf("at home, alice waits %s", wait)
	}
	// The cookie is good for long, but not for ever.
	s.now = s.now.Add(181 * 24 * time.Hour)
	hammer(10)
	if wait, _ := s.login(travelling, "alice", "right"); wait == 0 {
		t.Error("an old cookie is believed")
	}
	if wait, _ := s.login(home, "alice", "right"); wait == 0 {
		t.Error("an address from which nobody came for half a year is believed")
	}
}

// TestF44_WaitsEnd: whoever is new somewhere waits ten minutes at most once the guessing ends.
func TestF44_WaitsEnd(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	for i := range 5000 {
		s.login(from("203.0.113."+strconv.Itoa(i%200)), "alice", "guess")
		s.now = s.now.Add(10 * time.Second)
	}
	wait, _ := s.login(from("198.51.100.7"), "alice", "right")
	if wait > 10*time.Minute {
		t.Errorf("alice waits %s", wait)
	}
	s.now = s.now.Add(-time.Hour) // the clock was set back
	if wait, _ := s.login(from("198.51.100.7"), "alice", "right"); wait > 10*time.Minute {
		t.Errorf("after the clock was set back, alice waits %s", wait)
	}
	s.now = s.now.Add(time.Hour + wait)
	if wait, _ := s.login(from("198.51.100.7"), "alice", "right"); wait != 0 {
		t.Errorf("alice waits another %s", wait)
	}
}

// TestF44_OwnLoginsWipeOutNothing: an account of one's own is no way to get more guesses.
func TestF44_OwnLoginsWipeOutNothing(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	here, guesses := from("192.0.2.1"), 0
	for i := range 2000 {
		before := s.looked
		s.login(here, "user-"+strconv.Itoa(i), "guess")
		guesses += s.looked - before
		s.login(here, "mallory", "right")
		s.login(here, "mallory", "wrong")
		s.login(here, "mallory", "right")
	}
	if guesses > 50 {
		t.Errorf("%d guesses with an own account between", guesses)
	}
}

// TestF44_AClassBehindOneAddress: people who mistype and then get in make nobody wait.
func TestF44_AClassBehindOneAddress(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	school := from("192.0.2.1")
	for i := range 1000 {
		name := "pupil-" + strconv.Itoa(i)
		for range 3 {
			s.login(school, name, "typo")
		}
		if wait, _ := s.login(school, name, "right"); wait != 0 {
			t.Fatalf("%s waits %s", name, wait)
		}
	}
}

// TestF44_AllAtOnce: attempts that are not answered yet count, so that nobody gains by sending all at once.
func TestF44_AllAtOnce(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	r := from("192.0.2.1")
	var all sync.WaitGroup
	var mu sync.Mutex
	var let []*httpd.Attempt
	for range 1000 {
		all.Go(func() {
			if try, err := s.Attempt(r, "alice"); err == nil {
				mu.Lock()
				defer mu.Unlock()
				let = append(let, try)
			}
		})
	}
	all.Wait()
	if len(let) != 5 {
		t.Errorf("%d attempts are under way at once", len(let))
	}
	for _, try := range let {
		try.End() // the provider did not answer
		try.Wrong()
	}
	if wait, _ := s.login(r, "alice", "right"); wait != 0 {
		t.Errorf("after a provider that did not answer, alice waits %s", wait)
	}
}

// TestF44_OneCustomerIsOneAddress: a network of IPv6 addresses is no more than one, and headers count from trusted proxies only.
func TestF44_OneCustomerIsOneAddress(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	for i := range 1000 {
		r := from(fmt.Sprintf("2001:db8:0:12%02x:%x::1", i%256, i))
		r.Header.Set("X-Forwarded-For", "10.0.0."+strconv.Itoa(i%256))
		s.login(r, strconv.Itoa(i), "guess")
	}
	if s.looked > 50 {
		t.Errorf("%d guesses from one network", s.looked)
	}
	if wait, _ := s.login(from("2001:db8:0:1300::1:1"), "alice", "right"); wait != 0 {
		t.Errorf("the network beside it waits %s", wait)
	}
}

// TestF44_WrongTokens: wrong tokens are not looked up without end, and right ones pass wherever right ones come from.
func TestF44_WrongTokens(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	ask := func(address, token string) hub.Kind {
		r := from(address)
		r.Header.Set("Authorization", "token "+token)
		_, present, err := s.Token(r)
		if !present {
			t.Fatal("no token was seen")
		}
		if err == nil {
			return hub.Internal
		}
		return hub.KindOf(err)
	}
	count := func(address string, n int, token func(int) string) (looked int) {
		r := from(address)
		for i := range n {
			r.Header.Set("Authorization", "token "+token(i))
			if _, _, err := s.Token(r); hub.KindOf(err) == hub.Forbidden {
				looked++
			}
		}
		return looked
	}
	if n := count("192.0.2.1", tries, strconv.Itoa); n != 100 {
		t.Errorf("of %d wrong tokens %d were looked up", tries, n)
	}
	if k := ask("192.0.2.1", "t0ken"); k != hub.TooMany {
		t.Errorf("from an address that only guessed: %v", k)
	}
	s.now = s.now.Add(time.Minute)
	if k := ask("192.0.2.1", "t0ken"); k != hub.Internal {
		t.Errorf("after the wait: %v", k)
	}
	// From now on right tokens come from there: nobody has to wait for what others do, also not to be told that a token is wrong.
	if n := count("192.0.2.1", 1000, func(i int) string { return "more-" + strconv.Itoa(i) }); n != 1000 {
		t.Errorf("of the wrong tokens beside right ones %d were looked up", n)
	}
	if n := count("192.0.2.2", 5000, func(i int) string { return "old-" + strconv.Itoa(i%3) }); n != 5000 {
		t.Errorf("a few programs with old tokens were told %d times that these are wrong", n)
	}
	for _, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		if k := ask(address, "t0ken"); k != hub.Internal {
			t.Errorf("%s: %v", address, k)
		}
	}
}

// TestF44_NoLimits: 0 is any number.
func TestF44_NoLimits(t *testing.T) {
	t.Parallel()
	s := besiege(t)
	s.Guesses.Set(0, 0)
	r := from("192.0.2.1")
	for range 1000 {
		s.login(r, "alice", "guess")
	}
	if s.looked != 1000 {
		t.Errorf("%d passwords were looked at", s.looked)
	}
}
