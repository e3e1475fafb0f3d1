package web_test

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth/authtest"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// TestF43_CodeReplay: who gets hold of an answer that was used can do nothing with it.
func TestF43_CodeReplay(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice, thief := a.visit(), a.visit()
	used := answerOf(a.corp, alice.leave("corp"))
	alice.back(used).want(http.StatusFound)
	thief.back(used).want(http.StatusForbidden).says("try again")
	a.asked(1)
	// In a login of their own the code does not fit their proof key, and was used.
	own := answerOf(a.corp, thief.leave("corp"))
	thief.back(change(t, own, "code", parameter(t, used, "code"))).want(http.StatusForbidden).says("try again")
	thief.isNobody()
	alice.is("alice")
}

// TestF43_MixUp: one provider's answer is not taken for another's, which would learn the code.
func TestF43_MixUp(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	v := a.visit()
	answer := answerOf(a.corp, v.leave("corp"))
	elsewhere := strings.Replace(answer, "oauth_callback/corp", "oauth_callback/evil", 1)
	v.back(elsewhere).want(http.StatusForbidden)
	// A provider that sends its visitors on to another's login page gets an answer that names the other.
	a.evil.Behave(authtest.Behaviour{Metadata: map[string]any{"authorization_endpoint": a.corp.URL() + "/login"}})
	a.corp.Behave(authtest.Behaviour{Iss: a.corp.URL()})
	v.back(answerOf(a.corp, v.leave("evil"))).want(http.StatusForbidden)
	a.asked(0)
	if n := a.evil.Exchanges(); n != 0 {
		t.Errorf("the other provider was shown a code %d times", n)
	}
	v.isNobody()
	v.back(change(t, answer, "iss", a.corp.URL())).want(http.StatusFound) // which nothing of this has spoiled
}

// TestF43_LoginOfAnother: nobody can be made to be somebody else by a link.
func TestF43_LoginOfAnother(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice, nobody := a.enter(a.visit()), a.visit()
	a.bob()
	trap := answerOf(a.corp, a.visit().leave("corp"))
	nobody.back(trap).want(http.StatusForbidden).says("try again")
	nobody.isNobody()
	alice.back(trap).want(http.StatusFound).to("/hub/home")
	alice.is("alice")
	a.asked(1)
}

// TestF43_StolenState: who knows the state of somebody's login neither finishes it nor has it finished with a code of their own.
func TestF43_StolenState(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice, thief := a.visit(), a.visit()
	answer := answerOf(a.corp, alice.leave("corp"))
	thief.back(answer).want(http.StatusForbidden)
	thief.isNobody()
	a.asked(0)
	alice.back(answer).want(http.StatusFound) // the thief's attempt cost nothing
	victim := a.visit()
	state := parameter(t, victim.leave("corp"), "state")
	a.bob()
	own := answerOf(a.corp, thief.leave("corp"))
	victim.back(change(t, own, "state", state)).want(http.StatusForbidden)
	victim.isNobody()
	thief.back(own).want(http.StatusForbidden) // the code was shown with a proof key that is not its own, and is burnt
	thief.isNobody()
}

// TestF43_TwoTabs of one browser both end logged in, and what was opened in the first stays open.
func TestF43_TwoTabs(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	v := a.visit()
	first, second := v.leave("corp"), v.leave("corp")
	v.back(answerOf(a.corp, second)).want(http.StatusFound).to("/hub/token")
	u, err := a.hub.UserByName(t.Context(), "alice")
	check(t, err)
	open := func(what string) { // a server in the browser
		_, err = a.db.CreateToken(t.Context(), hub.Token{UserID: u.ID, Hash: []byte(what), BrowserID: v.browserID()})
		check(t, err)
	}
	open("in the first tab")
	opened := func() int {
		tokens, err := a.db.Tokens(t.Context(), u.ID)
		check(t, err)
		return len(tokens)
	}
	v.back(answerOf(a.corp, first)).want(http.StatusFound).to("/hub/token")
	v.is("alice")
	if opened() != 1 {
		t.Error("the second login closed what the first had opened")
	}
	if s, err := a.hub.Sessions(t.Context(), u.ID); err != nil || len(s) != 1 {
		t.Errorf("one browser has %d sessions, %v", len(s), err)
	}
	v.get("/hub/logout").want(http.StatusFound)
	if opened() != 0 {
		t.Error("the logout left something open")
	}
	// A browser that has forgotten its visit begins another, and what the forgotten one had opened nobody could end any more.
	a.enter(v)
	open("in a visit that is forgotten")
	again := v.leave("corp")
	v.forget(httpd.BrowserCookie)
	v.back(answerOf(a.corp, again)).want(http.StatusFound)
	v.is("alice")
	if opened() != 0 {
		t.Error("what was opened in a forgotten visit stays open")
	}
	// Somebody else's login in the same browser is the end of the first one's visit.
	a.enter(v)
	open("in the next visit")
	third := v.leave("corp")
	a.bob()
	v.back(answerOf(a.corp, third)).want(http.StatusFound)
	v.is("bob")
	if opened() != 0 {
		t.Error("alice's server is open to bob")
	}
}

// TestF43_BackButton: whoever goes back into a login that is over is still who they are, and the provider does not hear of it.
func TestF43_BackButton(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	v := a.visit()
	login := v.leave("corp")
	answer := answerOf(a.corp, login)
	v.back(answer).want(http.StatusFound)
	for what, at := range map[string]string{"the answer again": answer, "another answer to the same question": answerOf(a.corp, login)} {
		if again := v.back(at); again.status != http.StatusFound || again.location != "/hub/home" {
			t.Errorf("%s: %d to %q", what, again.status, again.location)
		}
		v.is("alice")
	}
	a.asked(1)
	v.get("/hub/login").want(http.StatusFound)
	v.get("/hub/logout").want(http.StatusFound)
	v.back(answer).want(http.StatusForbidden).says("try again")
	v.isNobody()
	a.asked(1)
}

// TestF43_CookieLost between the way to the provider and the way back: the page says so, and the next attempt succeeds.
func TestF43_CookieLost(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	v := a.visit()
	answer := answerOf(a.corp, v.leave("corp"))
	var err error
	v.client.Jar, err = cookiejar.New(nil)
	check(t, err)
	page := v.back(answer).want(http.StatusForbidden).says("did not let you in, or the login took too long. Please try again.")
	if !strings.Contains(page.body, "/hub/oauth_login/corp") {
		t.Error("the page has no way to try again")
	}
	a.asked(0)
	v.isNobody()
	a.enter(v).is("alice")
}

// TestF43_ProviderDown: who is in stays in, with servers and all, and who is not is told why.
func TestF43_ProviderDown(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	a.runServers()
	alice := a.enter(a.visit())
	page := alice.get("/hub/home")
	alice.submit(page.form("start"), nil).want(http.StatusFound)
	a.await("alice", "", hub.Ready)
	late := a.visit()
	answer := answerOf(a.corp, late.leave("corp"))

	a.corp.Behave(authtest.Behaviour{Down: true})
	alice.is("alice")
	if got := alice.get("/user/alice/lab"); got.body != "notebook at /user/alice/lab" {
		t.Errorf("the server is not reached: %d %s", got.status, got.body)
	}
	code := alice.get("/hub/api/oauth2/authorize?client_id=jupyterhub-user-alice&response_type=code&state=s").want(http.StatusFound)
	if parameter(t, code.location, "code") == "" {
		t.Errorf("the server's question is answered with %q", code.location)
	}
	late.back(answer).want(http.StatusServiceUnavailable).says("Login of corp cannot be reached at this moment. Please try again soon.")
	late.isNobody()
	a.visit().get("/hub/oauth_login/hasty").want(http.StatusServiceUnavailable).says("Login of hasty cannot be reached at this moment.")
	a.visit().get("/hub/login").want(http.StatusOK).says("Log in with Login of corp")

	a.corp.Behave(authtest.Behaviour{})
	a.enter(late).is("alice")
	alice.is("alice")
}

// TestF43_ProviderSlow: whoever waits for a provider waits alone, for as long as the configuration says.
func TestF43_ProviderSlow(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice, late := a.enter(a.visit()), a.visit()
	answer := answerOf(a.corp, late.leave("corp"))
	hold := make(chan struct{})
	a.corp.Behave(authtest.Behaviour{Hold: hold})
	done := make(chan error, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.site.URL+answer, nil)
		if err == nil {
			var res *http.Response
			if res, err = late.client.Do(req); err == nil {
				err = res.Body.Close()
			}
		}
		done <- err
	}()
	a.until("the provider is asked", func() bool { return a.corp.Held() > 0 })
	alice.is("alice")
	a.visit().get("/hub/login").want(http.StatusOK)
	a.visit().leave("corp") // the provider's own page is reached, or not, by the browser
	late.isNobody()
	close(hold)
	check(t, <-done)
	late.is("alice")
	a.corp.Behave(authtest.Behaviour{Hold: make(chan struct{})})
	a.visit().get("/hub/oauth_login/hasty").want(http.StatusServiceUnavailable).says("cannot be reached")
}

// TestF43_KeysRotated: new keys are fetched when they are needed, and a provider that cannot show them is no reason to say that the person is not let in.
func TestF43_KeysRotated(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice := a.enter(a.visit())
	a.corp.RotateKeys()
	a.enter(a.visit()).is("alice")
	a.corp.RotateKeys()
	a.corp.Behave(authtest.Behaviour{KeysStatus: http.StatusInternalServerError})
	v := a.visit()
	v.back(answerOf(a.corp, v.leave("corp"))).want(http.StatusServiceUnavailable).says("cannot be reached")
	v.isNobody()
	a.corp.Behave(authtest.Behaviour{})
	a.enter(v).is("alice")
	alice.is("alice")
}

// TestF43_UserGone: whom the provider does not know any more is not let in, nor is who has their name now. A session that runs ends when an administrator ends it.
func TestF43_UserGone(t *testing.T) {
	t.Parallel()
	a := newAway(t)
	alice := a.enter(a.visit())
	for name, gone := range map[string]authtest.Behaviour{"at the login page": {AuthorizeError: "access_denied"}, "after it": {TokenError: "invalid_grant"}} {
		a.corp.Behave(gone)
		v := a.visit()
		if got := v.back(answerOf(a.corp, v.leave("corp"))); got.status != http.StatusForbidden || !strings.Contains(got.text(), "did not let you in") {
			t.Errorf("%s: %d %s", name, got.status, got.text())
		}
		v.isNobody()
	}
	a.corp.Behave(authtest.Behaviour{})
	other := authtest.Alice()
	other.Subject = "another person"
	a.corp.Sit(other)
	v := a.visit()
	v.back(answerOf(a.corp, v.leave("corp"))).want(http.StatusForbidden).says("alice")
	v.isNobody()

	alice.is("alice")
	u, err := a.hub.UserByName(t.Context(), "alice")
	check(t, err)
	a.hub.SetAdmission(hub.Admission{AllowAll: true, BlockedUsers: []string{"alice"}})
	if got := alice.get("/hub/home"); got.status == http.StatusOK {
		t.Errorf("alice is blocked, and still in: %s", got.text())
	}
	a.hub.SetAdmission(hub.Admission{AllowAll: true})
	sessions, err := a.hub.Sessions(t.Context(), u.ID)
	check(t, err)
	for _, s := range sessions {
		check(t, a.hub.RevokeSession(t.Context(), u.ID, s.ID))
	}
	alice.isNobody()
}
