package oidc_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/authtest"
	"github.com/nomadhub/nomadhub/auth/oidc"
	"github.com/nomadhub/nomadhub/secret"
)

func config(p *authtest.Provider) oidc.Config {
	return oidc.Config{Issuer: p.URL(), ClientID: authtest.ClientID, CAFile: p.CAFile(), GroupsClaim: "groups", UserInfo: true}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	suite := authtest.Redirect{
		Provider: authtest.NewOpenID,
		Open: func(t *testing.T, p *authtest.Provider, s *authtest.Secret) auth.Redirect {
			log := slog.New(slog.NewTextHandler(t.Output(), nil))
			a, err := oidc.Open(config(p), oidc.Deps{ID: "test", Secret: s.Get, Refresh: s.Refresh, Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			return a
		},
		Alice: auth.Identity{Provider: "test", Subject: "4711", Name: "alice", Groups: []string{"physics", "physics:staff"}},
	}
	t.Run("redirect", func(t *testing.T) { t.Parallel(); authtest.RunRedirect(t, suite) })
	t.Run("openid", func(t *testing.T) { t.Parallel(); authtest.RunOpenID(t, suite) })
}

func open(t *testing.T, p *authtest.Provider, change func(*oidc.Config)) *oidc.Authenticator {
	t.Helper()
	cfg := config(p)
	change(&cfg)
	a, err := oidc.Open(cfg, oidc.Deps{ID: "test", Secret: p.Secret})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func login(t *testing.T, p *authtest.Provider, a auth.Redirect) (auth.Identity, error) {
	t.Helper()
	address, flow, err := a.Begin(t.Context(), authtest.Callback)
	if err != nil {
		t.Fatal(err)
	}
	return a.Finish(t.Context(), p.Visit(address), authtest.Callback, flow)
}

// with returns Alice with one more claim, or several.
func with(claims map[string]any) authtest.Person {
	person := authtest.Alice()
	person.Claims = claims
	return person
}

func TestUserNames(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	for _, tt := range []struct {
		name   string
		claim  string
		claims map[string]any
		want   string // "": denied
	}{
		{"default", "", nil, "alice"},
		{"another claim", "nickname", map[string]any{"nickname": "al"}, "al"},
		{"the subject", "sub", nil, "4711"},
		{"verified address", "email", map[string]any{"email": "alice@example.org", "email_verified": true}, "alice@example.org"},
		{"address not verified", "email", map[string]any{"email": "alice@example.org", "email_verified": false}, ""},
		{"nothing said of it", "email", map[string]any{"email": "alice@example.org"}, ""},
		{"the text true", "email", map[string]any{"email": "alice@example.org", "email_verified": "true"}, ""},
		{"the text false", "email", map[string]any{"email": "alice@example.org", "email_verified": "false"}, ""},
		{"one is not true", "email", map[string]any{"email": "alice@example.org", "email_verified": 1}, ""},
		{"two domains", "email", map[string]any{"email": "alice@evil.org@example.org", "email_verified": true}, ""},
		{"no domain", "email", map[string]any{"email": "alice@", "email_verified": true}, ""},
		{"no address is taken instead", "nickname", map[string]any{"email": "alice@example.org", "email_verified": true}, ""},
		{"names are told apart by case", "Preferred_Username", nil, ""},
	} {
		for _, userinfo := range []bool{false, true} {
			a := open(t, p, func(c *oidc.Config) { c.UsernameClaim, c.UserInfo = tt.claim, userinfo })
			p.Sit(with(tt.claims))
			id, err := login(t, p, a)
			if id.Name != tt.want || (tt.want == "") != (err != nil) {
				t.Errorf("%s: %q, %v", tt.name, id.Name, err)
			}
			if tt.want != "" && id.Subject != "4711" {
				t.Errorf("%s: subject %q", tt.name, id.Subject)
			}
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	nested := map[string]any{
		"realm_access": map[string]any{"roles": []string{"b", "a", "b", ""}}, "https://example.org/groups": []string{"c"},
		"one": "d", "none": nil, "number": 7,
	}
	for claim, want := range map[string][]string{
		"realm_access.roles":         {"a", "b"},
		"https://example.org/groups": {"c"},
		"one":                        {"d"},
		"none":                       {}, // an empty list says that there are none
		"missing":                    {},
		"realm_access.missing.roles": {},
		"":                           nil, // nil says nothing
	} {
		a := open(t, p, func(c *oidc.Config) { c.GroupsClaim = claim })
		p.Sit(with(nested))
		id, err := login(t, p, a)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, id.Groups); diff != "" {
			t.Errorf("%s: %s", claim, diff)
		}
	}
	for _, claim := range []string{"number", "realm_access"} {
		a := open(t, p, func(c *oidc.Config) { c.GroupsClaim = claim })
		if _, err := login(t, p, a); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: %v", claim, err)
		}
	}
}

func TestAdminGroups(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	for group, want := range map[string]bool{"physics:staff": true, "chemistry": false} {
		a := open(t, p, func(c *oidc.Config) { c.AdminGroups = []string{group} })
		if id, err := login(t, p, a); err != nil || id.Admin == nil || *id.Admin != want {
			t.Errorf("%s: %v, %v", group, id.Admin, err)
		}
	}
	if id, err := login(t, p, open(t, p, func(*oidc.Config) {})); err != nil || id.Admin != nil {
		t.Errorf("without admin groups: %v, %v; want nil, which says nothing", id.Admin, err)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	yes, no := new(true), new(false)
	for _, tt := range []struct {
		claim  string
		sent   any
		change func(*oidc.Config)
		roles  []string
		admin  *bool
	}{
		{"hub.roles", map[string]any{"roles": []string{"staff", "admin", "staff"}}, nil, []string{"admin", "staff"}, nil}, // the hub ignores the former
		{"hub.roles", map[string]any{"roles": []string{"staff", "admin"}}, func(c *oidc.Config) { c.AdminRole = true }, []string{"staff"}, yes},
		{"hub.roles", map[string]any{"roles": []string{"staff"}}, func(c *oidc.Config) { c.AdminRole = true }, []string{"staff"}, no},
		{
			"hub.roles", map[string]any{"roles": []string{}},
			func(c *oidc.Config) { c.AdminRole, c.AdminGroups = true, []string{"physics:staff"} }, []string{}, yes,
		},
		{"hub.roles", nil, nil, []string{}, nil},
		{"", map[string]any{"roles": []string{"staff"}}, nil, nil, nil},
	} {
		a := open(t, p, func(c *oidc.Config) {
			c.RolesClaim = tt.claim
			if tt.change != nil {
				tt.change(c)
			}
		})
		p.Sit(with(map[string]any{"hub": tt.sent}))
		id, err := login(t, p, a)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.roles, id.Roles); diff != "" {
			t.Errorf("%v: %s", tt.sent, diff)
		}
		if diff := cmp.Diff(tt.admin, id.Admin); diff != "" {
			t.Errorf("%v: administrator: %s", tt.sent, diff)
		}
	}
	p.Sit(with(map[string]any{"hub": map[string]any{"roles": 7}}))
	if _, err := login(t, p, open(t, p, func(c *oidc.Config) { c.RolesClaim = "hub.roles" })); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("a number of roles: %v", err)
	}
}

// The userinfo endpoint adds what the ID token lacks, and never lends its "verified" to an address of somewhere else.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	a := open(t, p, func(c *oidc.Config) { c.UsernameClaim = "nickname" })
	p.Behave(authtest.Behaviour{UserInfo: func(c map[string]any) { c["nickname"] = "al" }})
	if id, err := login(t, p, a); err != nil || id.Name != "al" {
		t.Errorf("%+v, %v", id, err)
	}
	a = open(t, p, func(c *oidc.Config) { c.UsernameClaim = "email" })
	p.Sit(with(map[string]any{"email": "alice@example.org", "email_verified": true}))
	p.Behave(authtest.Behaviour{UserInfo: func(c map[string]any) {
		c["email"] = "root@example.org"
		delete(c, "email_verified")
	}})
	if id, err := login(t, p, a); !errors.Is(err, auth.ErrDenied) {
		t.Errorf("%+v, %v", id, err)
	}
	p.Behave(authtest.Behaviour{APIStatus: http.StatusInternalServerError})
	a = open(t, p, func(c *oidc.Config) { c.UserInfo = false })
	if _, err := login(t, p, a); err != nil {
		t.Errorf("the userinfo endpoint is asked although that is off: %v", err)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	for name, tt := range map[string]struct {
		configured string
		offered    []string
		basic      bool
	}{
		"nothing said": {"", nil, true},
		"basic":        {"", []string{"client_secret_post", "client_secret_basic"}, true},
		"post":         {"", []string{"client_secret_post"}, false},
		"forced basic": {"basic", []string{"client_secret_post"}, true},
		"forced post":  {"post", nil, false},
	} {
		p.Behave(authtest.Behaviour{Metadata: map[string]any{"token_endpoint_auth_methods_supported": tt.offered}})
		before := p.Exchanges()
		if _, err := login(t, p, open(t, p, func(c *oidc.Config) { c.TokenAuth = tt.configured })); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := p.Exchanges() - before; n != 1 { // trial and error would use up the code
			t.Errorf("%s: %d attempts", name, n)
		}
		if p.Basic() != tt.basic {
			t.Errorf("%s: the secret came as HTTP Basic: %t", name, p.Basic())
		}
	}
}

func TestPublicClient(t *testing.T) {
	t.Parallel()
	cfg := oidc.Config{Issuer: "https://login.example.org", ClientID: "id", Public: true}
	if _, err := oidc.Open(cfg, oidc.Deps{ID: "x"}); err != nil {
		t.Error(err)
	}
	if cfg.SecretName("x") != "" || (oidc.Config{}).SecretName("x") != "oauth/x" || (oidc.Config{Secret: "s"}).SecretName("x") != "s" {
		t.Error("names of secrets are wrong")
	}
}

func TestLoginURL(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	a := open(t, p, func(c *oidc.Config) {
		c.Scopes, c.AuthParams, c.Label = []string{"groups"}, map[string]string{"prompt": "login"}, "Corporate"
	})
	address, flow, err := a.Begin(t.Context(), authtest.Callback)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("scope") != "openid groups" || q.Get("prompt") != "login" || q.Get("nonce") != flow.Nonce || a.Label() != "Corporate" {
		t.Errorf("%s %s", a.Label(), address)
	}
}

// A provider that is away when the hub starts costs nothing, and is asked rarely while many people try.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	p := authtest.NewOpenID(t)
	var mu sync.Mutex
	now := time.Now()
	later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	a, err := oidc.Open(config(p), oidc.Deps{ID: "test", Secret: p.Secret, Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now }})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() error {
		_, _, err := a.Begin(t.Context(), authtest.Callback)
		return err
	}
	p.Behave(authtest.Behaviour{DiscoveryStatus: http.StatusBadGateway})
	if err := begin(); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("provider away: %v", err)
	}
	p.Behave(authtest.Behaviour{})
	if err := begin(); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("asked again at once: %v", err)
	}
	later(3 * time.Second)
	if err := begin(); err != nil {
		t.Errorf("a little later: %v", err)
	}
	p.Behave(authtest.Behaviour{DiscoveryStatus: http.StatusBadGateway})
	later(2 * time.Hour)
	for range 3 {
		if err := begin(); err != nil {
			t.Errorf("known endpoints are forgotten: %v", err)
		}
	}
}

func TestBadDiscovery(t *testing.T) {
	t.Parallel()
	for name, metadata := range map[string]map[string]any{
		"another issuer":    {"issuer": "https://evil.example.org"},
		"plain endpoint":    {"token_endpoint": "http://login.example.org/token"},
		"no endpoint":       {"authorization_endpoint": ""},
		"script":            {"authorization_endpoint": "javascript:alert(1)"},
		"keys in the clear": {"jwks_uri": "http://login.example.org/keys"},
	} {
		p := authtest.NewOpenID(t)
		p.Behave(authtest.Behaviour{Metadata: metadata})
		_, _, err := open(t, p, func(*oidc.Config) {}).Begin(t.Context(), authtest.Callback)
		if !errors.Is(err, auth.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := oidc.Config{Issuer: "https://login.example.org", ClientID: "id"}
	deps := oidc.Deps{ID: "x", Secret: func() secret.Value { return "s" }}
	for want, change := range map[string]func(*oidc.Config, *oidc.Deps){
		"no ID":                      func(_ *oidc.Config, d *oidc.Deps) { d.ID = "" },
		"client_id is empty":         func(c *oidc.Config, _ *oidc.Deps) { c.ClientID = "" },
		"set public_client":          func(_ *oidc.Config, d *oidc.Deps) { d.Secret = nil },
		"https://":                   func(c *oidc.Config, _ *oidc.Deps) { c.Issuer = "http://login.example.org" },
		"absolute URL":               func(c *oidc.Config, _ *oidc.Deps) { c.Issuer = "" },
		"without a user":             func(c *oidc.Config, _ *oidc.Deps) { c.Issuer = "https://me@login.example.org" },
		"admin_groups needs":         func(c *oidc.Config, _ *oidc.Deps) { c.AdminGroups = []string{"a"} },
		"admin_from_roles needs":     func(c *oidc.Config, _ *oidc.Deps) { c.AdminRole = true },
		"token_auth":                 func(c *oidc.Config, _ *oidc.Deps) { c.TokenAuth = "jwt" },
		`auth_params sets "nonce"`:   func(c *oidc.Config, _ *oidc.Deps) { c.AuthParams = map[string]string{"nonce": "x"} },
		`timeout "-1s"`:              func(c *oidc.Config, _ *oidc.Deps) { c.Timeout = "-1s" },
		"certificates of the provid": func(c *oidc.Config, _ *oidc.Deps) { c.CAFile = "/nonexistent" },
	} {
		c, d := good, deps
		change(&c, &d)
		if _, err := oidc.Open(c, d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	if a, err := oidc.Open(good, deps); err != nil || a.Label() != "x" {
		t.Error(err)
	}
}
