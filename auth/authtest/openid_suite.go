package authtest

import (
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/nomadhub/nomadhub/auth"
)

// RunOpenID tests what an authenticator must see in an ID token, beside what RunRedirect tests.
func RunOpenID(t *testing.T, r Redirect) {
	t.Helper()
	r.badClaims(t)
	r.badSignatures(t)
	r.badUserInfo(t)
	for name, b := range map[string]Behaviour{
		"keys 500":      {KeysStatus: http.StatusInternalServerError},
		"keys 404":      {KeysStatus: http.StatusNotFound},
		"discovery 500": {DiscoveryStatus: http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); r.testUnavailable(t, b) })
	}
	t.Run("keys rotated", func(t *testing.T) { t.Parallel(); r.testKeyRotation(t) })
	t.Run("answer of another issuer", func(t *testing.T) { t.Parallel(); r.testMixUp(t) })
	t.Run("good variants", func(t *testing.T) { t.Parallel(); r.testGoodTokens(t) })
}

func set(name string, value any) func(map[string]any) {
	return func(claims map[string]any) { claims[name] = value }
}

func unset(name string) func(map[string]any) {
	return func(claims map[string]any) { delete(claims, name) }
}

// badClaims are signed by the provider, and nevertheless not for us, for now or for this login.
func (r Redirect) badClaims(t *testing.T) {
	t.Helper()
	for name, change := range map[string]func(map[string]any){
		"wrong nonce":                  set("nonce", "n-0S6_WzA2Mj"),
		"missing nonce":                unset("nonce"),
		"wrong audience":               set("aud", "somebody else"),
		"missing audience":             unset("aud"),
		"audience only begins as ours": set("aud", ClientID+"x"),
		"issued to another client":     set("azp", "somebody else"),
		"many audiences and no party":  set("aud", []string{ClientID, "somebody else"}),
		"wrong issuer":                 set("iss", "https://evil.example.org"),
		"issuer with a slash":          func(c map[string]any) { c["iss"] = c["iss"].(string) + "/" }, //nolint:forcetypeassert // we wrote it
		"missing issuer":               unset("iss"),
		"expired":                      set("exp", time.Now().Add(-time.Minute).Unix()),
		"missing expiry":               unset("exp"),
		"not yet valid":                set("nbf", time.Now().Add(time.Hour).Unix()),
		"missing subject":              unset("sub"),
		"empty subject":                set("sub", ""),
		"hash of another access token": set("at_hash", "MTIzNDU2Nzg5MDEyMzQ1Ng"),
	} {
		r.fails(t, name, auth.ErrDenied, Behaviour{Claim: change})
	}
	// These are the same wherever the authenticator looks.
	for name, change := range map[string]func(map[string]any){
		"missing name":                  unset("preferred_username"),
		"name is not a text":            set("preferred_username", 7),
		"name is blank":                 set("preferred_username", "  "),
		"groups are not a list of text": set("groups", []any{"a", 7}),
	} {
		r.fails(t, name, auth.ErrDenied, Behaviour{Claim: change, UserInfo: change})
	}
}

// badSignatures are what somebody else than the provider could make.
func (r Redirect) badSignatures(t *testing.T) {
	t.Helper()
	for name, sign := range map[string]func(t *testing.T, p *Provider, claims map[string]any) any{
		"no ID token": func(*testing.T, *Provider, map[string]any) any { return nil },
		"empty":       func(*testing.T, *Provider, map[string]any) any { return "" },
		"nonsense":    func(*testing.T, *Provider, map[string]any) any { return "a.b.c" },
		"not a text":  func(*testing.T, *Provider, map[string]any) any { return 7 },
		"alg none":    func(t *testing.T, _ *Provider, c map[string]any) any { return unsigned(t, c) },
		"another key": func(t *testing.T, p *Provider, c map[string]any) any { return p.keys.sign(t, p.keys.foreign, c) },
		"another key under the same ID": func(t *testing.T, p *Provider, c map[string]any) any {
			return p.keys.sign(t, key{p.keys.current.id, p.keys.foreign.private}, c)
		},
		"HMAC with the public key": func(t *testing.T, p *Provider, c map[string]any) any {
			return sign(t, jose.HS256, jose.JSONWebKey{Key: p.keys.current.publicPEM(t), KeyID: p.keys.current.id}, nil, c)
		},
		"HMAC with the client secret": func(t *testing.T, p *Provider, c map[string]any) any {
			return sign(t, jose.HS256, []byte(p.secret+p.secret), nil, c)
		},
		"key in the header": func(t *testing.T, p *Provider, c map[string]any) any {
			own := jose.JSONWebKey{Key: p.keys.foreign.private.Public(), KeyID: p.keys.foreign.id}
			return sign(t, jose.RS256, p.keys.foreign.private, map[jose.HeaderKey]any{"jwk": own, "jku": p.URL() + "/evil"}, c)
		},
		"key ID is a path": func(t *testing.T, p *Provider, c map[string]any) any {
			return p.keys.sign(t, key{"../../keys", p.keys.foreign.private}, c)
		},
		"changed after it was signed": func(t *testing.T, p *Provider, c map[string]any) any {
			text := []byte(p.keys.sign(t, p.keys.current, c))
			text[len(text)/2] ^= 1
			return string(text)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := r.bench(t)
			if _, err := b.login(t); err != nil { // the keys are known by now
				t.Fatal(err)
			}
			b.provider.Behave(Behaviour{Sign: func(c map[string]any) any { return sign(t, b.provider, c) }})
			_, err := b.login(t)
			want(t, auth.ErrDenied, err)
		})
	}
}

func (r Redirect) badUserInfo(t *testing.T) {
	t.Helper()
	for name, change := range map[string]func(map[string]any){
		"userinfo of somebody else": set("sub", "815"),
		"userinfo of nobody":        unset("sub"),
	} {
		r.fails(t, name, auth.ErrDenied, Behaviour{UserInfo: change})
	}
}

func (r Redirect) testUnavailable(t *testing.T, trouble Behaviour) {
	b := r.bench(t)
	b.provider.Behave(trouble)
	login, flow, err := b.Begin(t.Context(), Callback)
	if err == nil {
		_, err = b.finish(t, b.provider.Visit(login), flow)
	}
	want(t, auth.ErrUnavailable, err)
	b.provider.Behave(Behaviour{})
	for deadline := time.After(10 * time.Second); ; { // what failed a moment ago is not asked again at once
		if _, _, err = b.Begin(t.Context(), Callback); err == nil {
			break
		}
		select {
		case <-deadline:
			t.Fatalf("it does not heal: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if _, err := b.login(t); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func (r Redirect) testKeyRotation(t *testing.T) {
	b := r.bench(t)
	if _, err := b.login(t); err != nil {
		t.Fatal(err)
	}
	b.provider.RotateKeys()
	if _, err := b.login(t); err != nil {
		t.Errorf("after the provider changed its keys: %v", err)
	}
}

func (r Redirect) testMixUp(t *testing.T) {
	says := map[string]any{"authorization_response_iss_parameter_supported": true}
	for name, tt := range map[string]struct {
		b  func(p *Provider) Behaviour
		ok bool
	}{
		"named":              {func(p *Provider) Behaviour { return Behaviour{Metadata: says, Iss: p.URL()} }, true},
		"named unasked":      {func(p *Provider) Behaviour { return Behaviour{Iss: p.URL()} }, true},
		"another":            {func(*Provider) Behaviour { return Behaviour{Metadata: says, Iss: "https://evil.example.org"} }, false},
		"another unasked":    {func(*Provider) Behaviour { return Behaviour{Iss: "https://evil.example.org"} }, false},
		"promised, not sent": {func(*Provider) Behaviour { return Behaviour{Metadata: says} }, false},
	} {
		b := r.bench(t)
		b.provider.Behave(tt.b(b.provider))
		_, err := b.login(t)
		if tt.ok && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !tt.ok {
			want(t, auth.ErrDenied, err)
			if n := b.provider.Exchanges(); n != 0 {
				t.Errorf("%s: the code was shown to the provider", name)
			}
		}
	}
}

// testGoodTokens are less usual, but right.
func (r Redirect) testGoodTokens(t *testing.T) {
	b := r.bench(t)
	for name, change := range map[string]func(map[string]any){
		"many audiences and our party": func(c map[string]any) {
			maps.Copy(c, map[string]any{"aud": []string{"api", ClientID}, "azp": ClientID})
		},
		"list of one audience":        set("aud", []string{ClientID}),
		"without a hash":              unset("at_hash"),
		"clock of the provider ahead": set("nbf", time.Now().Add(time.Minute).Unix()),
	} {
		b.provider.Behave(Behaviour{Claim: change})
		if id, err := b.login(t); err != nil || id.Subject != r.Alice.Subject || !slices.Equal(id.Groups, r.Alice.Groups) {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}
