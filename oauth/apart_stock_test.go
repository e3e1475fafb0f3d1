package oauth_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// TestA06_StockServerOnAHostOfItsOwn walks to a stock server over TLS, on its user's host, with cookies that have the host prefix.
func TestA06_StockServerOnAHostOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStockIn(t, "hub5", hubtest.NewApart)
	urls := s.Hub.URLs()
	owner := s.User("joe b@ex.org", false)
	server, err := s.Hub.StartServer(t.Context(), owner.Name, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), stockPatience)
	defer cancel()
	if _, err := s.Hub.AwaitServer(ctx, server.ID, func(s hub.Server) bool { return s.State == hub.Ready }); err != nil {
		t.Fatal(err)
	}

	browser := s.resolving(t)
	if res, body := s.get(browser, urls.Origin()+"/hub/enter/joe%20b@ex.org"); res.StatusCode != http.StatusOK {
		t.Fatalf("login: %s %s", res.Status, body)
	}
	at := urls.ServerURL(owner.Name, "")
	hops, res, body := s.wander(browser, at+"lab")
	if res.StatusCode != http.StatusOK || !labPage.MatchString(body) || !strings.HasPrefix(res.Request.URL.String(), at) {
		t.Fatalf("the way to JupyterLab:\n%s\nended with %s: %.2000s", strings.Join(hops, "\n"), res.Status, body)
	}
	t.Logf("the way to JupyterLab:\n%s", strings.Join(hops, "\n"))
	for _, hop := range []string{"302 " + urls.Origin() + "/hub/api/oauth2/authorize", "302 " + at + "oauth_callback"} {
		if !strings.Contains(strings.Join(hops, "\n"), hop) {
			t.Errorf("there is no %q on the way", hop)
		}
	}
	names := func(where string) string {
		u, err := url.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, c := range browser.Jar.Cookies(u) {
			all = append(all, c.Name)
		}
		return " " + strings.Join(all, " ") + " "
	}
	if got := names(at); !strings.Contains(got, " __Host-jupyterhub-user-joe%20b%40ex.org ") || !strings.Contains(got, " jupyterhub-session-id ") || strings.Contains(got, "hub-login") {
		t.Errorf("on the server's host the browser has the cookies %s", got)
	}
	if got := names(urls.Origin() + "/hub/"); !strings.Contains(got, " __Host-jupyterhub-hub-login ") || strings.Contains(got, "jupyterhub-user") {
		t.Errorf("on the hub's host the browser has the cookies %s", got)
	}
	status := func(where string) int { res, _ := s.get(browser, where); return res.StatusCode }
	want(t, "API of the server by the cookie", status(at+"api/contents"), http.StatusOK)
	path := urls.Server(owner.Name, "")
	want(t, "the server at the hub's host", status(urls.Origin()+path+"api/contents"), http.StatusNotFound)
	want(t, "the server at another user's host", status(strings.TrimSuffix(urls.ServerURL("mallory", ""), "/user/mallory/")+path+"api/contents"), http.StatusNotFound)

	want(t, "logout", status(urls.Origin()+"/hub/logout"), http.StatusOK)
	want(t, "the server after the logout", status(at+"api/contents"), http.StatusForbidden)
}

// resolving is a browser for which all hosts are at the hub's socket, whose certificate it trusts.
func (s *stock) resolving(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := s.Public.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // of the certificate
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Public.Listener.Addr().String())
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Jar: jar, Transport: transport, Timeout: stockPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// wander follows redirects across hosts.
func (s *stock) wander(c *http.Client, at string) (hops []string, res *http.Response, body string) {
	s.t.Helper()
	for range 12 {
		res, body = s.get(c, at)
		u := *res.Request.URL
		u.RawQuery = ""
		hops = append(hops, fmt.Sprintf("%d %s", res.StatusCode, u.String()))
		if res.StatusCode/100 != 3 {
			return hops, res, body
		}
		next, err := res.Location()
		if err != nil {
			s.t.Fatal(err)
		}
		at = next.String()
	}
	s.t.Fatalf("the browser is sent in circles: %s", strings.Join(hops, "\n"))
	return nil, nil, ""
}
