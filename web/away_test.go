package web_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth/authtest"
	"github.com/nomadhub/nomadhub/auth/oidc"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// away is a hub whose people log in at OpenID providers that speak the wire, and can be told to misbehave.
type away struct {
	*bench
	corp *authtest.Provider // known as "corp", and as "hasty" to an authenticator that waits a second for it, and which nobody has used yet
	evil *authtest.Provider // known as "evil"
	db   hub.Store
}

func newAway(t *testing.T) *away {
	t.Helper()
	a := &away{corp: authtest.NewOpenID(t), evil: authtest.NewOpenID(t)}
	a.bench = newBench(t, func(s *setup) {
		a.db = s.hub.Store
		s.pages.Authenticators = nil // there is no other way in
		for id, from := range map[string]struct {
			*authtest.Provider
			timeout string
		}{"corp": {a.corp, "1m"}, "hasty": {a.corp, "1s"}, "evil": {a.evil, "1m"}} {
			c := oidc.Config{Label: "Login of " + id, Issuer: from.URL(), ClientID: authtest.ClientID, CAFile: from.CAFile(), Timeout: from.timeout}
			provider, err := oidc.Open(c, oidc.Deps{ID: id, Secret: from.Secret, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
			check(t, err)
			s.pages.Authenticators = append(s.pages.Authenticators, provider)
		}
	})
	return a
}

// leave begins a login, and returns where the browser is sent.
func (v *visitor) leave(provider string) string {
	v.b.t.Helper()
	a := v.get("/hub/oauth_login/" + provider + "?next=%2Fhub%2Ftoken").want(http.StatusFound)
	if !strings.HasPrefix(a.location, "https://") {
		v.b.t.Fatalf("sent to %q", a.location)
	}
	return a.location
}

// answerOf is the address with which a provider sends the browser back, as seen from the hub.
func answerOf(p *authtest.Provider, login string) string { return p.Visit(login).URL.RequestURI() }

// back opens the provider's answer, as a link from there does.
func (v *visitor) back(at string) answer {
	v.b.t.Helper()
	return v.with("Sec-Fetch-Site", "cross-site").get(at)
}

// enter logs in at corp.
func (a *away) enter(v *visitor) *visitor {
	a.t.Helper()
	v.back(answerOf(a.corp, v.leave("corp"))).want(http.StatusFound).to("/hub/token")
	return v
}

// browserID is what servers see of the browser's session.
func (v *visitor) browserID() string {
	v.b.t.Helper()
	site, err := url.Parse(v.b.site.URL)
	check(v.b.t, err)
	for _, c := range v.client.Jar.Cookies(site) {
		if c.Name == httpd.BrowserCookie {
			return c.Value
		}
	}
	v.b.t.Fatal("the browser has no session")
	return ""
}

// forget has the browser lose a cookie of the whole site.
func (v *visitor) forget(name string) {
	v.b.t.Helper()
	site, err := url.Parse(v.b.site.URL)
	check(v.b.t, err)
	v.client.Jar.SetCookies(site, []*http.Cookie{{Name: name, Path: "/", MaxAge: -1}})
}

func (v *visitor) is(name string) {
	v.b.t.Helper()
	v.get("/hub/home").want(http.StatusOK).says(name)
}

func (v *visitor) isNobody() {
	v.b.t.Helper()
	v.get("/hub/home").want(http.StatusFound).to("/hub/login?next=%2Fhub%2Fhome")
}

// asked fails unless corp was asked for a token that often.
func (a *away) asked(want int) {
	a.t.Helper()
	if got := a.corp.Exchanges(); got != want {
		a.t.Errorf("the provider was asked for a token %d times, want %d", got, want)
	}
}

// change replaces a parameter of an address.
func change(t *testing.T, at, name, value string) string {
	t.Helper()
	u, err := url.Parse(at)
	check(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func parameter(t *testing.T, at, name string) string {
	t.Helper()
	u, err := url.Parse(at)
	check(t, err)
	return u.Query().Get(name)
}

// bob sits down at corp's login page.
func (a *away) bob() {
	person := authtest.Alice()
	person.Subject, person.Name = "815", "bob"
	a.corp.Sit(person)
}

// until waits for something.
func (a *away) until(what string, done func() bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			a.t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}
