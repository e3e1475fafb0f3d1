package routing_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/routing"
)

type fixed struct{ table *routing.Table }

func (f fixed) Table() *routing.Table { return f.table }

// isolated is a proxy before one server, which shows the cookies that it gets and answers with these headers.
func isolated(t *testing.T, answer http.Header, o routing.Options) *httptest.Server {
	t.Helper()
	notebook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), answer)
		_, _ = io.WriteString(w, strings.Join(r.Header["Cookie"], "|"))
	}))
	t.Cleanup(notebook.Close)
	o.Router = fixed{routing.NewTable([]routing.Route{{Prefix: "/user/al/", Address: notebook.Listener.Addr().String(), Server: "s1"}})}
	o.Fallback = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	p, err := routing.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(p)
	t.Cleanup(func() { front.Close(); p.Close() })
	return front
}

func visit(t *testing.T, front *httptest.Server, host, cookies string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/user/al/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if req.Host = host; cookies != "" {
		req.Header.Set("Cookie", cookies)
	}
	res, err := front.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// TestA35_WhatAServerMayNotSay: a server speaks for itself, not for the host on which others live.
func TestA35_WhatAServerMayNotSay(t *testing.T) {
	t.Parallel()
	for scope, kept := range map[string]bool{
		"/": false, "/user/": false, "/user/al": false, "/user/al/": true, "/user/al/lab/": true, "/user/alice/": false, "/user/al/../": false,
		"/user/al/%2e%2e/": false, "/user/%61l/": true, `/user/al/\..\`: false, "https://x/user/al/": false, "/hub/": false,
	} {
		front := isolated(t, http.Header{
			"Service-Worker-Allowed": {scope}, "Clear-Site-Data": {`"cookies"`}, "Strict-Transport-Security": {"max-age=1; includeSubDomains"}, "X-Own": {"1"},
		}, routing.Options{})
		res, _ := visit(t, front, "", "")
		if got := res.Header.Get("Service-Worker-Allowed"); (got == scope) != kept || !kept && got != "" {
			t.Errorf("a worker for %q: %q", scope, got)
		}
		if res.Header.Get("Clear-Site-Data") != "" || res.Header.Get("Strict-Transport-Security") != "" || res.Header.Get("X-Own") != "1" {
			t.Errorf("headers: %v", res.Header)
		}
	}
}

func TestA35_CookiesOfAServer(t *testing.T) {
	t.Parallel()
	set := map[string]string{ // as it is said, and as it arrives
		"a=1; Path=/user/al/; HttpOnly":                      "a=1; Path=/user/al/; HttpOnly",
		"a=1; Domain=hub.example.org; Path=/":                "a=1; Path=/",
		"a=1;domain=.hub.example.org":                        "a=1",
		"a=domain=x; Path=/; DOMAIN = x; Secure":             "a=domain=x; Path=/; Secure",
		"jupyterhub-session-id=0123; Path=/":                 "",
		"jupyterhub-hub-login=x; Path=/hub/":                 "",
		"__Host-jupyterhub-hub-login=x; Path=/; Secure":      "",
		"nomadhub-login-flow-YQ=x; Path=/hub/":               "",
		"__Host-nomadhub-login-flow-YQ=x; Path=/; Secure":    "",
		"__Host-jupyterhub-user-bo=x; Path=/; Secure":        "",
		"__Host-jupyterhub-user-al=x; Path=/; Secure":        "__Host-jupyterhub-user-al=x; Path=/; Secure",
		"my-jupyterhub-session-id=jupyterhub-hub-login; a=b": "my-jupyterhub-session-id=jupyterhub-hub-login; a=b",
	}
	foreign := func(prefix, cookie string) bool {
		return prefix == "/user/al/" && strings.HasPrefix(cookie, "__Host-jupyterhub-user-") && cookie != "__Host-jupyterhub-user-al"
	}
	for said, arrives := range set {
		front := isolated(t, http.Header{"Set-Cookie": {said}}, routing.Options{Foreign: foreign})
		res, _ := visit(t, front, "", "")
		if got := strings.Join(res.Header["Set-Cookie"], "|"); got != arrives {
			t.Errorf("%q arrives as %q", said, got)
		}
	}
	front := isolated(t, nil, routing.Options{Foreign: foreign})
	_, seen := visit(t, front, "", "a=1; __Host-jupyterhub-user-bo=s; __Host-jupyterhub-user-al=t; __Host-nomadhub-login-flow-YQ=u; jupyterhub-session-id=v; b=2")
	if want := "a=1; __Host-jupyterhub-user-al=t; jupyterhub-session-id=v; b=2"; seen != want {
		t.Errorf("the server sees %q", seen)
	}
}

// TestARouteServesItsHost: where hosts count, another one finds no server.
func TestARouteServesItsHost(t *testing.T) {
	t.Parallel()
	front := isolated(t, nil, routing.Options{Serves: func(host, prefix string) bool { return host == "al.example" && prefix == "/user/al/" }})
	var got []int
	for _, host := range []string{"al.example", "bo.example", "example"} {
		res, _ := visit(t, front, host, "")
		got = append(got, res.StatusCode)
	}
	if !slices.Equal(got, []int{http.StatusOK, http.StatusTeapot, http.StatusTeapot}) {
		t.Errorf("the hosts are answered with %v", got)
	}
}
