package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
)

// TestF44_TheLoginPageHoldsBack: after some wrong passwords the page says how long to wait. Who has logged in with their browser before does not have to.
func TestF44_TheLoginPageHoldsBack(t *testing.T) {
	t.Parallel()
	now := time.Now()
	b := newBench(t, func(s *setup) { s.guesses = httpd.NewGuesses(3, 1000, func() time.Time { return now }, nil) })
	home := b.loggedIn("alice")
	home.get("/hub/logout").want(http.StatusFound)
	now = now.Add(40 * 24 * time.Hour) // the address is forgotten, the browser is not
	stranger := b.visit()
	try := func(v *visitor, name, password string) answer {
		return v.submit(v.get("/hub/login?next=%2Fhub%2Ftoken").form("login"), credentials(name, password))
	}
	for _, name := range []string{"alice", "nobody"} {
		for range 3 {
			try(stranger, name, "guess").want(http.StatusForbidden).says("is wrong")
		}
		a := try(stranger, name, "open").want(http.StatusTooManyRequests).says("Wait a second")
		if a.header.Get("Retry-After") != "1" || !strings.Contains(a.form("login").action, "next=%2Fhub%2Ftoken") || a.form("login").fields.Get("username") != name {
			t.Errorf("%s: Retry-After is %q, the form %+v", name, a.header.Get("Retry-After"), a.form("login"))
		}
		stranger.get("/hub/home").want(http.StatusFound)
	}
	try(stranger, "outage", "open").want(http.StatusServiceUnavailable)
	try(home, "alice", "open").want(http.StatusFound).to("/hub/token")
	try(stranger, "alice", "guess") // that alice came makes this address known again, for alice
	now = now.Add(time.Minute)
	try(stranger, "nobody", "open").want(http.StatusFound)
}
