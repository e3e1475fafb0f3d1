package hub_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

func split(t *testing.T, public string) hub.URLs {
	t.Helper()
	u, err := url.Parse(public)
	if err != nil {
		t.Fatal(err)
	}
	return hub.NewURLs("/", u, "http://10.0.0.1:8081").WithSubdomains()
}

func TestHostsOfUsers(t *testing.T) {
	t.Parallel()
	u := split(t, "https://hub.example.org:8443")
	for name, label := range map[string]string{ // the first column of JupyterHub's rule, and what is hashed with a prefix of it
		"alice": "alice", "a-b": "a-b", "r2d2": "r2d2", "zoë": "xn--zo-ija", "müller": "xn--mller-kva",
		"123": "u-123--", "joe b@ex.org": "u-joebexor--", "a.b": "u-ab--", "a_b": "u-ab--", "-a": "u-a--", "a-": "u-a--", "a--b": "u-ab--",
		"xn--zo-ija": "u-xnzoija--", "u-alice--123": "u-ualice12--", "alice--service": "u-aliceser--", "@": "u-x--", strings.Repeat("a", 64): "u-aaaaaaaa--",
	} {
		want := "https://" + label
		if strings.HasSuffix(label, "--") {
			want += "[0-9a-f]{24}"
		}
		got := u.ServerURL(name, "")
		rest, _ := strings.CutPrefix(got, "https://")
		host, _, _ := strings.Cut(rest, ".")
		if !regexp.MustCompile("^"+want+`\.hub\.example\.org:8443/user/`).MatchString(got) || len(host) > 63 {
			t.Errorf("%q is at %s", name, got)
		}
		if !u.Serves(strings.ToUpper(host)+".Hub.example.org.:8443", "/user/"+name+"/x/") || u.Serves("hub.example.org", "/user/"+name+"/") || u.Serves("x.hub.example.org", "/user/"+name+"/") {
			t.Errorf("%q has another host in the proxy than in addresses: %s", name, u.HostOf("/user/"+name+"/"))
		}
		if path := hub.NewURLs("/", nil, "").Server(name, "") + "lab?x=/user/bob/"; u.OnItsHost(path) != got+"lab?x=/user/bob/" {
			t.Errorf("%q: %s", path, u.OnItsHost(path))
		}
	}
	if got := u.ServiceURL("app"); got != "https://app--service.hub.example.org:8443/services/app/" {
		t.Errorf("the service is at %s", got)
	}
	if a, b := u.ServiceURL("App"), u.ServiceURL("app"); strings.EqualFold(a[:20], b[:20]) {
		t.Errorf("two services share a host: %s, %s", a, b)
	}
	if host := u.HostOf("/services/" + strings.Repeat("a", 60) + "/"); strings.IndexByte(host, '.') > 63 {
		t.Errorf("the service's host is too long: %s", host)
	}
}

// TestHostsAreNobodyElses: what one user chooses as a name never leads to another's host.
func TestHostsAreNobodyElses(t *testing.T) {
	t.Parallel()
	u := split(t, "https://hub.example.org")
	seen := map[string]string{}
	for _, name := range []string{
		"alice", "a.lice", "alice.", "al ice", "alice@", "a@lice", "-alice", "alice-", "alicé", "xn--alic-epa", "u-alice--2bd806c", "1", "01", "a1", "ａlice", "alıce", "hub", "www",
		"app--service", "alice.hub", "alice.hub.example.org", "fußball", "fussball", "☃", "😀", "\u0661",
	} {
		host := u.HostOf("/user/" + name + "/")
		if other, taken := seen[host]; taken {
			t.Errorf("%q and %q share %s", name, other, host)
		}
		seen[host] = name
		if strings.Count(host, ".") != 3 || !u.IsBelow(host) || u.IsHub(host) {
			t.Errorf("%q is at %s", name, host)
		}
	}
	if host := u.HostOf("/services/app/"); seen[host] != "" {
		t.Errorf("the service shares %s with %q", host, seen[host])
	}
}

func TestOneHost(t *testing.T) {
	t.Parallel()
	public, err := url.Parse("https://hub.example.org")
	if err != nil {
		t.Fatal(err)
	}
	u := hub.NewURLs("/p/", public, "http://10.0.0.1:8081")
	if u.ServerURL("al", "x") != "/p/user/al/x/" || u.ServiceURL("app") != "/p/services/app/" || u.Origin() != "" || u.CookieDomain() != "" || u.Everywhere() != "" ||
		!u.Serves("any", "/p/user/al/") || u.OnItsHost("/p/user/al/") != "/p/user/al/" || u.IsBelow("a.hub.example.org") || u.HostOf("/p/user/al/") != "" {
		t.Errorf("without subdomains something has a host: %+v", u)
	}
	if got := u.Absolute("/p/user/al/"); got != "https://hub.example.org/p/user/al/" {
		t.Errorf("for everybody it is %s", got)
	}
	if got := hub.NewURLs("/", nil, "").WithSubdomains(); got.Subdomains() || got.Absolute("/") != "" {
		t.Error("without a public address there are hosts")
	}
}

func TestPathsWithoutAHost(t *testing.T) {
	t.Parallel()
	u := split(t, "http://hub.localhost:8000")
	for _, path := range []string{"/", "/hub/", "/hub/user/al/", "/user/", "/user", "/services//x", "/users/al/", "/user/%zz/", "user/al/"} {
		if got := u.OnItsHost(path); got != path {
			t.Errorf("%q becomes %q", path, got)
		}
	}
	if got := u.OnItsHost("/user/al"); got != "http://al.hub.localhost:8000/user/al" {
		t.Errorf("without its last slash it is %q", got)
	}
	if got := u.OnItsHost("/user/al?next=/x#y"); got != "http://al.hub.localhost:8000/user/al?next=/x#y" {
		t.Errorf("with a query it is %q", got)
	}
	if u.Origin() != "http://hub.localhost:8000" || u.CookieDomain() != "hub.localhost" || u.Everywhere() != "http://*.hub.localhost:8000" {
		t.Errorf("origin %s, domain %s, all %s", u.Origin(), u.CookieDomain(), u.Everywhere())
	}
	if !u.IsHub("HUB.localhost:1") || u.IsHub("ahub.localhost") || !u.IsBelow("x.hub.localhost:8000") || u.IsBelow("hub.localhost") || u.IsBelow("evilhub.localhost") {
		t.Error("which hosts are ours")
	}
}

// TestA35_CookiesOfOtherServers: with the host prefix browsers send each server's cookie to all, and the proxy asks whose it is.
func TestA35_CookiesOfOtherServers(t *testing.T) {
	t.Parallel()
	u := hub.NewURLs("/p/", nil, "").WithHostPrefix()
	for _, c := range []struct {
		prefix, cookie string
		foreign        bool
	}{
		{"/p/user/al/", "__Host-jupyterhub-user-al", false},
		{"/p/user/al/", "__Host-jupyterhub-user-al-oauth-state", false},
		{"/p/user/al/", "__Host-jupyterhub-user-al-oauth-state-abcdEFGH", false},
		{"/p/user/al/", "__Host-jupyterhub-user-alice", true},
		{"/p/user/al/", "__Host-jupyterhub-user-al-b", true},
		{"/p/user/al/", "__Host-jupyterhub-user-al-oauth-statex", true},
		{"/p/user/al/", "__Host-jupyterhub-user-al%2Fnamed", true},
		{"/p/user/al/named/", "__Host-jupyterhub-user-al%2Fnamed", false},
		{"/p/user/al/named/", "__Host-jupyterhub-user-al", true},
		{"/p/user/joe b@x/", "__Host-jupyterhub-user-joe%20b%40x", false},
		{"/p/user/al/", "__Host-service-app", true},
		{"/p/services/app/", "__Host-service-app", false},
		{"/p/services/app/", "__Host-jupyterhub-user-al", true},
		{"/p/user/al/", "__Host-of-an-app", false},
		{"/p/user/al/", "jupyterhub-user-alice", false}, // has a path
		{"/p/user/al/", "_xsrf", false},
	} {
		if got := u.Foreign(c.prefix, c.cookie); got != c.foreign {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
