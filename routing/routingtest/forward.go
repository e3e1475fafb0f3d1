package routingtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// seen is what a server got.
type seen struct {
	Method, Target, Host, Body string
	Header                     http.Header
}

// mirror answers with what it got.
func mirror() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Host, string(body), r.Header})
	})
}

func seenBy(t *testing.T, p Proxy, request string) seen {
	t.Helper()
	res, _ := raw(t, p, request)
	var s seen
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		t.Fatalf("%d for %q: %v", res.StatusCode, request, err)
	}
	return s
}

func testForward(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/joe b/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Location", "http://elsewhere.example:1234/user/joe%20b/tree")
		h.Add("Set-Cookie", "a=1; Path=/user/joe%20b/")
		h.Add("Set-Cookie", "_xsrf=2; Path=/user/joe%20b/")
		h.Set("X-Jupyterhub-Version", "5.3.0")
		h.Set("Content-Encoding", "zstd")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
	})))
	res, _ := raw(t, p, requestLine("PUT", "/user/joe%20b/api/x?q=1", "Content-Length: 5", "Accept-Encoding: gzip")+"hello")
	if res.StatusCode != http.StatusTeapot || bodyOf(t, res) != "hello" {
		t.Errorf("status %d", res.StatusCode)
	}
	for name, want := range map[string][]string{
		"Location":             {"http://elsewhere.example:1234/user/joe%20b/tree"},
		"Set-Cookie":           {"a=1; Path=/user/joe%20b/", "_xsrf=2; Path=/user/joe%20b/"},
		"X-Jupyterhub-Version": {"5.3.0"},
		"Content-Encoding":     {"zstd"},
	} {
		if diff := cmp.Diff(want, res.Header[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func testLongestPrefix(t *testing.T, start StartProxy) {
	p := start(t, hub())
	say := func(s string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) })
	}
	p.SetRoutes(backend(t, "/user/a/", say("a")), backend(t, "/user/a/s/", say("a-s")), backend(t, "/user/ab/", say("ab")))
	for path, want := range map[string]string{
		"/user/a": "a", "/user/a/": "a", "/user/a/x": "a", "/user/a/s": "a-s", "/user/a/s/x": "a-s", "/user/a/sx": "a",
		"/user/ab/": "ab", "/user/abc/": "hub /user/abc/", "/": "hub /", "/hub/home?x=1": "hub /hub/home?x=1",
	} {
		if status, body := get(t, t.Context(), p.URL+path); status != http.StatusOK || body != want {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
}

// testOddPaths holds that a request target arrives as it was sent, byte for byte, and at nobody else.
func testOddPaths(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/alice/", mirror()), backend(t, "/user/bob/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("bob got %q", r.RequestURI)
	})))
	for _, target := range []string{
		"/user/alice", "/user/alice/", "/user/alice?x", "/user/alice/?", "/user/alice//", "/user/alice///x//y",
		"/user/alice/a%2Fb%2fc", "/user/alice/%41%7e%7E", "/user/alice/a+b%20c", "/user/alice/../bob/", "/user/alice/%2e%2e/bob/",
		"/user/alice/%2E%2E%2Fbob/", "/user/alice/..;/bob/", "/user/alice/..%5cbob", "/user/alice/%252e%252e/bob/", "/user/alice/%00",
		"/user/alice/%ff%fe", "/user/alice/%E2%82%AC", "/user/alice/a;b;c=d", "/user/alice/a:b@c!$&'()*,=~",
		"/user/alice/?a=1;b=2&c=%zz&d=%", "/user/alice/?%gg=1&;;", "/user/alice/?a=/user/bob/", "/user/alice/x?y=#", "/%75ser/%61lice/x",
		"/user/alice/" + strings.Repeat("a/", 2000),
	} {
		if got := seenBy(t, p, requestLine("GET", target)); got.Target != target || got.Host != "hub.example:8000" {
			t.Errorf("sent %q, arrived as %q for host %q", target, got.Target, got.Host)
		}
	}
	for _, target := range []string{
		"/user/../user/bob/", "//user/bob/", "/user//bob/", "/user%2Fbob/", "/user/%2fbob/", "/./user/bob/", "/user/bob%2F", "/user/bob%2F..%2Falice/",
		"/user/bob;/", "/user/bob%00/", "/user/BOB/", "/user/bob%20/",
	} {
		if res, _ := raw(t, p, requestLine("GET", target)); !strings.HasPrefix(bodyOf(t, res), "hub ") {
			t.Errorf("%q did not go to the fallback", target)
		}
	}
	for _, target := range []string{"/user/bob/%zz", "/user/bob/%", "/user/bo%6"} {
		if res, _ := raw(t, p, requestLine("GET", target)); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d, want 400", target, res.StatusCode)
		}
	}
	got := seenBy(t, p, "GET http://other.example/user/alice/x HTTP/1.1\r\nHost: hub.example:8000\r\n\r\n")
	if got.Target != "/user/alice/x" {
		t.Errorf("an absolute target arrived as %q", got.Target)
	}
}

func testForwardedHeaders(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", mirror()))
	for name, test := range map[string]struct {
		send []string
		want map[string][]string
	}{
		"none before": {
			want: map[string][]string{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Port": {"8000"}, "X-Forwarded-Host": {"hub.example:8000"},
				"Forwarded": nil, "X-Scheme": nil, "User-Agent": nil, "Connection": nil,
			},
		},
		"a proxy before": {
			send: []string{
				"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443",
				"X-Forwarded-Host: public.example", "Forwarded: for=192.0.2.1;proto=https", "X-Scheme: https",
			},
			want: map[string][]string{
				"X-Forwarded-For": {"192.0.2.1,192.0.2.2,127.0.0.1"}, "X-Forwarded-Proto": {"https,http"}, "X-Forwarded-Port": {"443,8000"},
				"X-Forwarded-Host": {"public.example"}, "Forwarded": {"for=192.0.2.1;proto=https"}, "X-Scheme": {"https"},
			},
		},
		"what servers decide by": {
			send: []string{
				"Authorization: token abc", "Cookie: a=b; c=\"d e\"; =f;;", "Origin: https://hub.example", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin",
				"X-XSRFToken: 2|x", "User-Agent: test/1", "Accept-Encoding: br", "Range: bytes=1-2", "If-None-Match: \"x\"",
			},
			want: map[string][]string{
				"Authorization": {"token abc"}, "Cookie": {"a=b; c=\"d e\"; =f;;"}, "Origin": {"https://hub.example"}, "Sec-Fetch-Mode": {"cors"},
				"Sec-Fetch-Site": {"same-origin"}, "X-Xsrftoken": {"2|x"}, "User-Agent": {"test/1"}, "Accept-Encoding": {"br"}, "Range": {"bytes=1-2"},
				"If-None-Match": {"\"x\""},
			},
		},
	} {
		got := seenBy(t, p, requestLine("GET", "/user/a/", test.send...))
		for header, want := range test.want {
			if diff := cmp.Diff(want, got.Header[header]); diff != "" {
				t.Errorf("%s: %s: %s", name, header, diff)
			}
		}
	}
}

// testForgedHeaders holds that what the proxy says of the client arrives whatever the client says of the proxy's headers.
func testForgedHeaders(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", mirror()))
	for _, name := range []string{"X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-PORT", "X-Forwarded-Host"} {
		for _, connection := range []string{"Connection: " + name, "Connection: close, " + name, "Connection: close\r\nConnection: " + strings.ToUpper(name)} {
			got := seenBy(t, p, requestLine("GET", "/user/a/", connection))
			for header, want := range map[string]string{
				"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8000", "X-Forwarded-Host": "hub.example:8000",
			} {
				if got.Header.Get(header) != want {
					t.Errorf("%q: %s arrived as %q", connection, header, got.Header[header])
				}
			}
		}
	}
	got := seenBy(t, p, requestLine("GET", "/user/a/", "X_Forwarded_For: 6.6.6.6", "x_forwarded-proto: https", "X_Real_Ip: 6.6.6.6", "X_My_Own: kept"))
	for name := range got.Header {
		if strings.Contains(name, "_") && !strings.EqualFold(name, "X_My_Own") {
			t.Errorf("the alias %s reached the server", name)
		}
	}
	if !headerHas(got.Header, "X_My_Own") {
		t.Error("a header of the client's own was dropped")
	}
}

func headerHas(h http.Header, name string) bool {
	for n := range h {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func testPrivateCookies(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, c := range []string{"jupyterhub-hub-login=evil; Path=/hub/", " jupyterhub-hub-login =evil", "mine=1", "__Host-jupyterhub-hub-login=evil"} {
			w.Header().Add("Set-Cookie", c)
		}
		mirror().ServeHTTP(w, r)
	})))
	for sent, want := range map[string][]string{
		"jupyterhub-hub-login=s":                                      nil,
		"a=1; jupyterhub-hub-login=s; b=\"2 3\"":                      {"a=1; b=\"2 3\""},
		"jupyterhub-hub-login=s;jupyterhub-session-id=x":              {"jupyterhub-session-id=x"},
		"a=1; __Host-jupyterhub-hub-login=s":                          {"a=1"},
		"jupyterhub-hub-login =s; a=1":                                {"a=1"},
		"jupyterhub-hub-login=s; jupyterhub-hub-login=t; _xsrf=2|x":   {"_xsrf=2|x"},
		"jupyterhub-hub-login-not=1; x=jupyterhub-hub-login":          {"jupyterhub-hub-login-not=1; x=jupyterhub-hub-login"},
		"a=1\r\nCookie: jupyterhub-hub-login=s\r\nCookie: b=2":        {"a=1", "b=2"},
		"jupyterhub-user-a=s; jupyterhub-user-a-oauth-state-abcdef=t": {"jupyterhub-user-a=s; jupyterhub-user-a-oauth-state-abcdef=t"},
	} {
		if diff := cmp.Diff(want, seenBy(t, p, requestLine("GET", "/user/a/", "Cookie: "+sent)).Header["Cookie"]); diff != "" {
			t.Errorf("%q: %s", sent, diff)
		}
	}
	res, _ := raw(t, p, requestLine("GET", "/user/a/"))
	if diff := cmp.Diff([]string{"mine=1"}, res.Header["Set-Cookie"]); diff != "" {
		t.Error("a server set the hub's cookie:", diff)
	}
}

func testNoOtherUpgrade(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", mirror()))
	got := seenBy(t, p, requestLine("GET", "/user/a/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
		if got.Header[name] != nil {
			t.Errorf("%s reached the server: %q", name, got.Header[name])
		}
	}
}

func testConnect(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the server got %s", r.Method) })))
	if res, _ := raw(t, p, requestLine("CONNECT", "/user/a/")); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("status %d, want 405", res.StatusCode)
	}
}

func testTrailers(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(bytes.Repeat([]byte("x"), 10))
		w.Header().Set("X-Sum", "42")
	})))
	res, _ := raw(t, p, requestLine("GET", "/user/a/"))
	if bodyOf(t, res) != "xxxxxxxxxx" || res.Trailer.Get("X-Sum") != "42" {
		t.Errorf("the trailer is %v", res.Trailer)
	}
}
