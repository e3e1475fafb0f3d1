package oauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-chi/chi/v5"

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

// TestA41_OneTokenForACode: fifty ask for a token with the same code at once, on two hubs.
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
		var got atomic.Int64
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				at := []*hubtest.Bench{b.Bench, other}[i%2]
				if status := exchangeAt(t, at.Public, b.secret, code); status == http.StatusOK {
					got.Add(1)
				} else if status != http.StatusBadRequest {
					t.Errorf("one of many is answered with %d", status)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 {
			t.Errorf("one code gave %d tokens", got.Load())
		}
	}
}

// exchangeAt asks the hub at the address for a token.
func exchangeAt(t *testing.T, at *httptest.Server, secret, code string) int {
	t.Helper()
	form := url.Values{
		"client_id": {"jupyterhub-user-alice"}, "client_secret": {secret}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.URL+"/hub/api/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := at.Client().Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
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
