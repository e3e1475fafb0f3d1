package httpd_test

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestWhenThePageTokenIsAsked is the table of hub-protocol: by what browsers say of a request, for pages and for the API.
func TestWhenThePageTokenIsAsked(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	sess := aliceSession()
	for _, c := range []struct {
		method, mode, site string
		page, api          bool // whether it is asked
	}{
		{"GET", "", "", false, false},
		{"GET", "navigate", "same-origin", false, false},
		{"GET", "navigate", "cross-site", false, false},
		{"GET", "no-cors", "same-origin", false, false},
		{"GET", "no-cors", "cross-site", false, true},
		{"GET", "cors", "same-origin", false, true},
		{"GET", "same-origin", "same-origin", false, true},
		{"GET", "websocket", "cross-site", false, false},
		{"HEAD", "cors", "cross-site", false, false},
		{"OPTIONS", "cors", "cross-site", false, false},
		{"POST", "", "", true, true},
		{"POST", "websocket", "same-origin", true, true},
		{"DELETE", "websocket", "cross-site", true, true},
		{"POST", "navigate", "same-origin", true, true},
		{"POST", "cors", "same-origin", true, true},
		{"PUT", "", "", true, true},
		{"PATCH", "cors", "same-origin", true, true},
		{"DELETE", "", "", true, true},
		{"DELETE", "no-cors", "same-origin", true, true},
	} {
		for api, asked := range map[bool]bool{false: c.page, true: c.api} {
			r := request(c.method, "/hub/x")
			r.Header.Set("Sec-Fetch-Mode", c.mode)
			r.Header.Set("Sec-Fetch-Site", c.site)
			err := s.CheckXSRF(r, &sess, api)
			if (err != nil) != asked {
				t.Errorf("%+v, api %v: %v", c, api, err)
			}
			if err != nil && hub.KindOf(err) != hub.Forbidden {
				t.Errorf("%+v: it is refused as %v", c, hub.KindOf(err))
			}
		}
	}
}

func TestPageTokenOfASession(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	alice, bob := aliceSession(), bobSession()
	w := begin(s, alice)
	token := cookie(t, w, "_xsrf").Value
	if shown := s.PageToken(httptest.NewRecorder(), request("GET", "/hub/home", cookies(w)...), &alice); shown != token {
		t.Errorf("the page shows %q, the cookie is %q", shown, token)
	}
	ways := map[string]func(token string) *http.Request{
		"header": func(token string) *http.Request {
			r := request("POST", "/hub/x")
			r.Header.Set("X-XSRFToken", token)
			return r
		},
		"other header": func(token string) *http.Request {
			r := request("DELETE", "/hub/x")
			r.Header.Set("X-CSRFToken", token)
			return r
		},
		"query": func(token string) *http.Request { return request("POST", "/hub/x?_xsrf="+url.QueryEscape(token)) },
		"form":  func(token string) *http.Request { return postForm("/hub/x", url.Values{"_xsrf": {token}}) },
		"parts": func(token string) *http.Request {
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			if err := form.WriteField("_xsrf", token); err != nil {
				t.Fatal(err)
			}
			_ = form.Close()
			r := httptest.NewRequest(http.MethodPost, "/hub/x", &body)
			r.Header.Set("Content-Type", form.FormDataContentType())
			return r
		},
	}
	for name, ask := range ways {
		if err := s.CheckXSRF(ask(token), &alice, false); err != nil {
			t.Errorf("by %s: %v", name, err)
		}
		for _, bad := range []string{"", "x", token + "x", token[1:], strings.ToUpper(token), alice.ID, "anon." + token} {
			if s.CheckXSRF(ask(bad), &alice, false) == nil {
				t.Errorf("by %s: %q is taken", name, bad)
			}
		}
		if s.CheckXSRF(ask(token), &bob, false) == nil {
			t.Errorf("by %s: the token of one session is good for another", name)
		}
	}
	// The cookie alone proves nothing: browsers send it along with what other sites ask for.
	r := request("POST", "/hub/x", cookies(w)...)
	if s.CheckXSRF(r, &alice, false) == nil {
		t.Error("the cookie alone is taken")
	}
	// JSON bodies are not looked into.
	r = httptest.NewRequest(http.MethodPost, "/hub/x", strings.NewReader(`{"_xsrf":"`+token+`"}`))
	r.Header.Set("Content-Type", "application/json")
	if s.CheckXSRF(r, &alice, true) == nil {
		t.Error("a token in JSON is taken")
	}
}

func TestPageTokenOfAVisitor(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	w := httptest.NewRecorder()
	token := s.PageToken(w, request("GET", "/hub/login"), nil)
	c := cookie(t, w, "_xsrf")
	if c.Value != token || c.MaxAge != 3600 || c.Path != "/hub/" || !c.HttpOnly {
		t.Errorf("the cookie is %+v", c)
	}
	if err := s.CheckXSRF(postForm("/hub/login", url.Values{"_xsrf": {token}}, c), nil, false); err != nil {
		t.Error(err)
	}
	other := httptest.NewRecorder()
	foreign := s.PageToken(other, request("GET", "/hub/login"), nil)
	if s.CheckXSRF(postForm("/hub/login", url.Values{"_xsrf": {foreign}}, c), nil, false) == nil {
		t.Error("the token of another visitor is taken")
	}
	if s.CheckXSRF(postForm("/hub/login", url.Values{"_xsrf": {token}}), nil, false) == nil {
		t.Error("a token without the cookie is taken")
	}
	forged := &http.Cookie{Name: "_xsrf", Value: "anon.x.y"}
	if s.CheckXSRF(postForm("/hub/login", url.Values{"_xsrf": {"anon.x.y"}}, forged), nil, false) == nil {
		t.Error("a pair that nobody signed is taken")
	}
	alice := aliceSession()
	if s.CheckXSRF(postForm("/hub/x", url.Values{"_xsrf": {token}}, c), &alice, false) == nil {
		t.Error("a visitor's token is good for a session")
	}
	// A cookie that is good is kept, one that is not is replaced, and a script gets no cookie.
	again := httptest.NewRecorder()
	if kept := s.PageToken(again, request("GET", "/hub/login", c), nil); kept != token || len(cookies(again)) != 0 {
		t.Errorf("a good cookie was replaced: %v", again.Header())
	}
	replaced := httptest.NewRecorder()
	s.PageToken(replaced, request("GET", "/hub/login", forged), nil)
	cookie(t, replaced, "_xsrf")
	r := request("GET", "/hub/login")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	script := httptest.NewRecorder()
	if s.PageToken(script, r, nil); len(cookies(script)) != 0 {
		t.Error("a script got a cookie")
	}
}

// TestHugeForm: the search for a token reads no more than its bound.
func TestHugeForm(t *testing.T) {
	t.Parallel()
	s := newSessions(t)
	w := httptest.NewRecorder()
	token := s.PageToken(w, request("GET", "/hub/login"), nil)
	form := url.Values{"a": {strings.Repeat("x", 2<<20)}, "_xsrf": {token}}
	if s.CheckXSRF(postForm("/hub/login", form, cookies(w)...), nil, false) == nil {
		t.Error("a form of 2 MiB was read to its end")
	}
}
