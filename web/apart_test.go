package web_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestWaysBetweenHosts: where users have hosts of their own, each address leads to the host on which it is, and nothing of a user is at another.
func TestWaysBetweenHosts(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) { s.apart = true })
	b.runServers()
	b.addUsers("ada", "joe b@ex.org")
	home := b.urls.Origin()
	_, port, _ := strings.Cut(home, "hub.localhost")
	ada, joe := "https://ada.hub.localhost"+port, "https://u-joebexor--8734e8aff065b7dabe838e74.hub.localhost"+port
	client := b.anyHost()
	ask := func(method, at, token string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, at, http.NoBody)
		check(t, err)
		if token != "" {
			req.Header.Set("Authorization", "token "+token)
		}
		res, err := client.Do(req)
		check(t, err)
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		check(t, err)
		return res, string(body)
	}
	type way struct {
		method, from, to string
		status           int
	}
	walk := func(ways ...way) {
		t.Helper()
		for _, c := range ways {
			if res, body := ask(c.method, c.from, ""); res.StatusCode != c.status || res.Header.Get("Location") != c.to {
				t.Errorf("%s %s: %d to %q\n%.300s", c.method, c.from, res.StatusCode, res.Header.Get("Location"), body)
			}
		}
	}
	walk( // nothing runs
		way{"GET", home + "/user/ada/lab?x=%2F1", ada + "/user/ada/lab?x=%2F1", 302},
		way{"GET", joe + "/user/ada/lab", ada + "/user/ada/lab", 302},
		way{"GET", home + "/user/joe%20b@ex.org/", joe + "/user/joe%20b@ex.org/", 302},
		way{"GET", ada + "/user/ada/lab?x=1", home + "/hub/user/ada/lab?x=1", 302},
		way{"GET", ada + "/user/ada", "/user/ada/", 301},
		way{"GET", ada + "/", home + "/hub/", 302},
		way{"GET", ada + "/hub/home", home + "/hub/home", 302},
		way{"GET", home + "/services/app/x", "https://app--service.hub.localhost" + port + "/services/app/x", 302},
		way{"POST", home + "/user/ada/api/contents", "", 403},
		way{"POST", ada + "/hub/login", "", 404},
	)

	b.start("ada", "")
	b.await("ada", "", hub.Ready)
	walk(
		way{"GET", ada + "/user/ada/lab", "", 200},
		way{"GET", home + "/user/ada/lab", ada + "/user/ada/lab", 302},
		way{"GET", joe + "/user/ada/lab", ada + "/user/ada/lab", 302},
		way{"POST", joe + "/user/ada/lab", "", 403},
	)
	u, err := b.hub.UserByName(t.Context(), "ada")
	check(t, err)
	token, _, err := b.hub.IssueToken(t.Context(), u, hub.NewToken{})
	check(t, err)
	_, body := ask("GET", home+"/hub/api/users/ada", token)
	var model struct {
		Server  string `json:"server"`
		Servers map[string]struct {
			URL      string `json:"url"`
			Full     string `json:"full_url"`
			Progress string `json:"full_progress_url"`
		} `json:"servers"`
	}
	check(t, json.Unmarshal([]byte(body), &model))
	if s := model.Servers[""]; model.Server != ada+"/user/ada/" || s.URL != ada+"/user/ada/" || s.Full != s.URL || s.Progress != home+"/hub/api/users/ada/server/progress" {
		t.Errorf("the API tells %s", body)
	}
	if _, events := ask("GET", home+"/hub/api/users/ada/server/progress", token); !strings.Contains(events, `"url":"`+ada+`/user/ada/"`) {
		t.Errorf("the events of the start tell %s", events)
	}
	if res, _ := ask("GET", ada+"/hub/api/user", token); res.StatusCode != http.StatusNotFound {
		t.Errorf("the API is on a user's host: %s", res.Status)
	}
	env, ok := b.fake.Spec(b.await("ada", "", hub.Ready).ID)
	if !ok || env.Env["JUPYTERHUB_HOST"] != home || env.Env["JUPYTERHUB_OAUTH_CALLBACK_URL"] != ada+"/user/ada/oauth_callback" || env.Env["JUPYTERHUB_SERVICE_PREFIX"] != "/user/ada/" ||
		env.Env["JUPYTERHUB_PUBLIC_URL"] != ada+"/user/ada/" || env.Env["JUPYTERHUB_PUBLIC_HUB_URL"] != home+"/hub/" || env.Env["JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED"] != "1" {
		t.Errorf("the server is told %v", env.Env)
	}
}

// anyHost is a client for which all hosts are at the hub's socket, and that does not follow redirects.
func (b *bench) anyHost() *http.Client {
	b.t.Helper()
	transport, ok := b.site.Client().Transport.(*http.Transport)
	if !ok {
		b.t.Fatal("the test server's client has another transport")
	}
	transport = transport.Clone()
	transport.TLSClientConfig.ServerName = "example.com" // of the certificate
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, b.site.Listener.Addr().String())
	}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
