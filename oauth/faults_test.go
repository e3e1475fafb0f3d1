package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/oauth"
)

// hostileRedirects are what is not the registered redirect URI, however near it comes.
func hostileRedirects(host string) []string {
	return []string{
		"https://evil.example" + callback, "//evil.example" + callback, "///evil.example" + callback, `/\evil.example` + callback, `\\evil.example` + callback,
		"http://" + host + callback, "https://" + host + callback, "//" + host + callback, "http://" + host + "@evil.example" + callback,
		"http://evil.example/?x=" + callback, "http://evil.example/#" + callback, "javascript:alert(1)//" + callback, "data:text/html," + callback,
		callback + "/", callback + "/.", callback + "/..", callback + "/../oauth_callback", "/user/alice/./oauth_callback", "/user/alice//oauth_callback",
		"/user//alice/oauth_callback", "//user/alice/oauth_callback", "/user/alice/x/../oauth_callback", "/user/alice/%2e%2e/alice/oauth_callback",
		"/user/bob/oauth_callback", "/user/alice/../bob/oauth_callback", "/user/Alice/oauth_callback", "/user/ALICE/oauth_callback", "/USER/alice/oauth_callback",
		"/user/alice/OAUTH_CALLBACK", "/user/alice/oauth%5Fcallback", "/user/%61lice/oauth_callback", "/user/alice%2Foauth_callback", "/user%2Falice/oauth_callback",
		callback + "?", callback + "?x=1", callback + "?code=stolen", callback + "#", callback + "#x", callback + ";x=1", callback + "%00", callback + "\x00",
		callback + "%0d%0aSet-Cookie:x=1", callback + "\r\nLocation: https://evil.example", callback + " ", " " + callback, callback + "%20", "\t" + callback, callback + "\n",
		callback + ".evil.example", callback + "@evil.example", "@evil.example" + callback, ":80" + callback, "user/alice/oauth_callback", "./oauth_callback", "../alice/oauth_callback",
		"oauth_callback", "/", "/hub/home", "/user/alice/", "/user/alice/oauth_callbac", callback + "k", "/hub" + callback, callback + callback, "*", callback + "*", "/user/alice/*",
		"null", "undefined", "urn:ietf:wg:oauth:2.0:oob", "http://localhost" + callback, "http://127.0.0.1" + callback, "file://" + callback,
		"/user/alice/oauth_callback\u200b", "/user/аlice/oauth_callback",
	}
}

// TestA40_OnlyTheRegisteredRedirectURI: any other is refused on a page, and nobody is sent anywhere.
func TestA40_OnlyTheRegisteredRedirectURI(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.Browser("alice")
	all := hostileRedirects(strings.TrimPrefix(b.Public.URL, "http://"))
	if len(all) < 60 {
		t.Errorf("only %d are tried", len(all))
	}
	for _, to := range all {
		for _, more := range [][]string{nil, {"response_type", "token"}, {"scope", "no:such"}} { // an error is not sent there, either
			a := b.ask(alice, question(append([]string{"redirect_uri", to}, more...)...))
			if a.StatusCode != http.StatusBadRequest || a.Header.Get("Location") != "" || strings.Contains(a.body, "code=") && !strings.Contains(to, "code=") {
				t.Errorf("%q %v: %s to %q: %s", to, more, a.Status, a.Header.Get("Location"), a.body)
			}
		}
	}
	if a := b.ask(alice, url.Values{"client_id": {"jupyterhub-user-alice"}, "response_type": {"code"}, "redirect_uri": {callback, "https://evil.example"}}); a.StatusCode != http.StatusBadRequest {
		t.Errorf("two redirect URIs: %s to %q", a.Status, a.Header.Get("Location"))
	}
	b.code(alice) // the right one is as good as ever
}

// TestA41_OneTokenForACode: fifty ask for a token with the same code at once, on two hubs. One gets a token, and as a code that many have is a stolen one, that token
// is worth nothing any more, on both.
func TestA41_OneTokenForACode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.Replica()
	p, err := oauth.New(oauth.Options{Hub: other.Hub, Sessions: other.Sessions, Logger: other.Log})
	if err != nil {
		t.Fatal(err)
	}
	other.Serve(nil, p.Mount)
	alice := b.Browser("alice")
	for range 5 {
		code := b.code(alice)
		var mu sync.Mutex
		var got []string
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				at := []*hubtest.Bench{b.Bench, other}[i%2]
				switch status, token := exchangeAt(t, at.Public, b.secret, code); status {
				case http.StatusOK:
					mu.Lock()
					got = append(got, token)
					mu.Unlock()
				case http.StatusBadRequest:
				default:
					t.Errorf("one of many is answered with %d", status)
				}
			})
		}
		all.Wait()
		if len(got) != 1 {
			t.Fatalf("one code gave %d tokens", len(got))
		}
		for _, at := range []*hubtest.Bench{b.Bench, other} {
			at.Eventually("the end of the token", func() bool { return isDead(t, at, got[0]) })
		}
	}
}

// TestA41_ASecondUseRevokesWhatTheFirstGave, on both hubs, and nothing else; and who is not the code's client revokes nothing.
func TestA41_ASecondUseRevokesWhatTheFirstGave(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	other := b.Replica()
	b.User("bob", false)
	bobs := b.ServerToken(b.Start("bob", ""))
	alice := b.Browser("alice")
	exchanged := func() (code, token string) {
		t.Helper()
		code = b.code(alice)
		a := b.exchange(code)
		if token = field(t, a.body, "access_token"); a.StatusCode != http.StatusOK || token == "" {
			t.Fatalf("no token: %s: %s", a.Status, a.body)
		}
		return code, token
	}
	alive := func(what, token string) {
		t.Helper()
		for _, at := range []*hubtest.Bench{b.Bench, other} {
			if isDead(t, at, token) {
				t.Errorf("%s: the token is dead", what)
			}
		}
	}
	_, bystander := exchanged()
	for name, second := range map[string][]string{
		"the same again": nil, "with another redirect URI": {"redirect_uri", "/user/bob/oauth_callback"}, "with a verifier": {"code_verifier", "x"},
	} {
		code, token := exchanged()
		b.exchange(code, "client_secret", "wrong").refused(t, name+", by who does not know the secret", http.StatusUnauthorized, "invalid_client")
		b.exchange(code, "client_id", "jupyterhub-user-bob", "client_secret", bobs).refused(t, name+", by another client", http.StatusBadRequest, "invalid_grant")
		alive(name, token)
		a := b.exchange(code, second...)
		a.refused(t, name, http.StatusBadRequest, "invalid_grant")
		if !strings.Contains(a.body, "was revoked") {
			t.Errorf("%s: nothing is said of the token: %s", name, a.body)
		}
		if !isDead(t, b.Bench, token) {
			t.Errorf("%s: the token of the first use still works", name)
		}
		other.Eventually("the end of the token at the other hub", func() bool { return isDead(t, other, token) })
		b.exchange(code).refused(t, name+", a third time", http.StatusBadRequest, "invalid_grant")
	}
	alive("a bystander", bystander)
	b.code(alice) // and alice, who was logged in, still is
}

// TestA41_ACodeLivesForAMinute: not one that stayed behind in somebody's history.
func TestA41_ACodeLivesForAMinute(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	before := time.Now()
	hash := sha256.Sum256([]byte(b.code(b.Browser("alice"))))
	after := time.Now()
	code, err := b.Store.CodeByHash(t.Context(), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	if code.Expires.Before(before) || code.Expires.After(after.Add(time.Minute)) {
		t.Errorf("the code lives until %s, %s from now", code.Expires, code.Expires.Sub(after))
	}
	old := sha256.Sum256([]byte("old"))
	code.Hash, code.Expires = old[:], time.Now().Add(-time.Microsecond)
	if err := b.Store.CreateCode(t.Context(), code); err != nil {
		t.Fatal(err)
	}
	b.exchange("old").refused(t, "an old code", http.StatusBadRequest, "invalid_grant")
}

// TestA41_ARevocationThatFailsSaysSo: if the database is away at the second use, nobody is told that all is well.
func TestA41_ARevocationThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	fails := &forgetful{}
	b := &bench{Bench: hubtest.New(t, func(o *hub.Options) { fails.Store = o.Store; o.Store = fails }), t: t}
	p, err := oauth.New(oauth.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	b.Serve(nil, p.Mount)
	b.User("alice", false)
	b.secret = b.ServerToken(b.Start("alice", ""))
	code := b.code(b.Browser("alice"))
	token := field(t, b.exchange(code).body, "access_token")
	fails.away.Store(true)
	b.exchange(code).refused(t, "a second use without a database", http.StatusInternalServerError, "server_error")
	fails.away.Store(false)
	if isDead(t, b.Bench, token) {
		t.Error("the token was revoked after all")
	}
	b.exchange(code).refused(t, "a second use", http.StatusBadRequest, "invalid_grant")
	if !isDead(t, b.Bench, token) {
		t.Error("the token of the first use still works")
	}
}

// forgetful is a store that cannot revoke while it is away.
type forgetful struct {
	hub.Store

	away atomic.Bool
}

func (f *forgetful) DeleteTokenOfCode(ctx context.Context, clientID string, code []byte) (bool, error) {
	if f.away.Load() {
		return false, errors.New("the connection is gone")
	}
	return f.Store.DeleteTokenOfCode(ctx, clientID, code)
}

// isDead tells whether a hub knows the token no more.
func isDead(t *testing.T, at *hubtest.Bench, token string) bool {
	t.Helper()
	_, err := at.Hub.TokenPrincipal(t.Context(), token)
	if err != nil && hub.KindOf(err) != hub.Forbidden {
		t.Error(err)
	}
	return err != nil
}

// exchangeAt asks the hub at the address for a token.
func exchangeAt(t *testing.T, at *httptest.Server, secret, code string) (status int, token string) {
	t.Helper()
	form := url.Values{
		"client_id": {"jupyterhub-user-alice"}, "client_secret": {secret}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.URL+"/hub/api/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := at.Client().Do(req)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	var reply struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
		t.Error(err)
	}
	return res.StatusCode, reply.Token
}

// TestA46_WhatIsOpenOfOAuth: nothing but the exchange of a code, which has the client's secret to show, answers who shows no login.
func TestA46_WhatIsOpenOfOAuth(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p, err := oauth.New(oauth.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	router, routes := chi.NewRouter(), 0
	p.Mount(router)
	err = chi.Walk(router, func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes++
		a := b.send(b.Browser(""), method, "/hub/api/oauth2"+path+"?"+question().Encode(), "", "Authorization", "token "+b.secret)
		want := map[string]int{"GET /authorize": http.StatusFound, "POST /authorize": http.StatusForbidden, "POST /token": http.StatusBadRequest}[method+" "+path]
		if method == http.MethodOptions {
			want = http.StatusOK
		}
		if a.StatusCode != want || a.StatusCode == http.StatusFound && !strings.HasPrefix(a.Header.Get("Location"), "/hub/login") {
			t.Errorf("%s %s answers a stranger with %s", method, path, a.Status)
		}
		return nil
	})
	if err != nil || routes < 3 {
		t.Errorf("%d routes, %v", routes, err)
	}
}
