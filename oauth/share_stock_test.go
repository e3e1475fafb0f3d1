package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestStockServerOpensForThoseItIsSharedWith lets guests into a stock server: one with whom it is shared directly, and one by way of a group, for whom JupyterHub's
// own hub answers 403. When the share is taken back, a new login ends at the hub.
func TestStockServerOpensForThoseItIsSharedWith(t *testing.T) {
	t.Parallel()
	s := newStock(t, "hub5")
	alice, path := s.User("alice", false), s.Hub.URLs().Server("alice", "")
	bob, carol, root := s.User("bob", false), s.User("carol", false), s.User("root", true)
	if _, err := s.Hub.CreateGroup(t.Context(), "lab", []string{"carol"}, nil); err != nil {
		t.Fatal(err)
	}
	s.begin(alice, path)
	by, err := s.Hub.TokenPrincipal(t.Context(), s.Token(root))
	if err != nil {
		t.Fatal(err)
	}
	for _, guest := range []struct {
		user hub.User
		with hub.Grantee
	}{{bob, hub.Grantee{User: "bob"}}, {carol, hub.Grantee{Group: "lab"}}} {
		name, wish := guest.user.Name, hub.ShareWish{Owner: alice}
		s.refuses(name, path)
		want(t, name+"'s token before", s.statusWith(s.Token(guest.user), path+"api/contents"), http.StatusForbidden)
		if _, err := s.Hub.ShareServer(t.Context(), by, wish, guest.with); err != nil {
			t.Fatal(err)
		}
		browser := s.Browser(name)
		s.visitByGuest(browser, path)
		want(t, "API of the server for "+name, s.status(browser, path+"api/contents"), http.StatusOK)
		want(t, name+"'s token", s.statusWith(s.Token(guest.user), path+"api/contents"), http.StatusOK)

		if _, remains, err := s.Hub.UnshareServer(t.Context(), wish, guest.with); err != nil || remains {
			t.Fatalf("remains %v, %v", remains, err)
		}
		s.refuses(name, path)
		want(t, name+"'s new token afterwards", s.statusWith(s.Token(guest.user), path+"api/contents"), http.StatusForbidden)
	}
}

// refuses logs somebody in anew, whom the hub does not let on to the server.
func (s *stock) refuses(name, path string) {
	s.t.Helper()
	hops, res, body := s.walk(s.Browser(name), path)
	if res.StatusCode != http.StatusForbidden || !strings.Contains(body, "You may not use this server") {
		s.t.Errorf("the way of %s:\n%s\nended with %s: %.500s", name, strings.Join(hops, "\n"), res.Status, body)
	}
}

// visitByGuest goes the road to JupyterLab on the server of somebody else, who is asked on the way.
func (s *stock) visitByGuest(browser *http.Client, path string) {
	s.t.Helper()
	hops, res, body := s.walk(browser, path)
	form := formField.FindStringSubmatch(body)
	if res.StatusCode != http.StatusOK || form == nil {
		s.t.Fatalf("the guest's way:\n%s\nended with %s: %.1000s", strings.Join(hops, "\n"), res.Status, body)
	}
	unescape := strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#39;", "'", "&#34;", `"`)
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Public.URL+unescape.Replace(form[1]),
		strings.NewReader(url.Values{"_xsrf": {unescape.Replace(form[2])}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, body = s.do(browser, req); res.StatusCode != http.StatusFound {
		s.t.Fatalf("consent: %s: %.1000s", res.Status, body)
	}
	hops, res, body = s.walk(browser, res.Header.Get("Location"))
	if res.StatusCode != http.StatusOK || !labPage.MatchString(body) {
		s.t.Fatalf("the guest's way after consent:\n%s\nended with %s: %.1000s", strings.Join(hops, "\n"), res.Status, body)
	}
}
