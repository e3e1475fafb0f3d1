package authtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// NewOpenID starts an OpenID Connect provider.
func NewOpenID(t testing.TB) *Provider {
	t.Helper()
	return newProvider(t, true)
}

func (p *Provider) routeOpenID(mux *http.ServeMux) {
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discover)
	mux.HandleFunc("GET /login", p.authorize)
	mux.HandleFunc("POST /token", p.openIDToken)
	mux.HandleFunc("GET /keys", p.sendKeys)
	mux.HandleFunc("GET /userinfo", p.userInfo)
}

func (p *Provider) discover(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.behaviour.DiscoveryStatus != 0 {
		http.Error(w, "trouble", p.behaviour.DiscoveryStatus)
		return
	}
	document := map[string]any{
		"issuer":                                p.URL(),
		"authorization_endpoint":                p.URL() + "/login",
		"token_endpoint":                        p.URL() + "/token",
		"jwks_uri":                              p.URL() + "/keys",
		"userinfo_endpoint":                     p.URL() + "/userinfo",
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	}
	maps.Copy(document, p.behaviour.Metadata)
	sendJSON(w, http.StatusOK, document)
}

func (p *Provider) openIDToken(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.behaviour.TokenStatus != 0 {
		http.Error(w, "trouble", p.behaviour.TokenStatus)
		return
	}
	g, token, fail := p.exchange(r)
	if fail != "" {
		status := http.StatusBadRequest
		if fail == "invalid_client" {
			status = http.StatusUnauthorized
		}
		sendJSON(w, status, map[string]any{"error": fail})
		return
	}
	answer := map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300}
	if signed := p.idToken(g, token); signed != nil {
		answer["id_token"] = signed
	}
	sendJSON(w, http.StatusOK, answer)
}

func (p *Provider) idToken(g *grant, accessToken string) any {
	sum, now := sha256.Sum256([]byte(accessToken)), time.Now()
	claims := p.claims(g.person)
	maps.Copy(claims, map[string]any{
		"iss": p.URL(), "aud": ClientID, "nonce": g.nonce, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]),
	})
	if p.behaviour.Claim != nil {
		p.behaviour.Claim(claims)
	}
	if p.behaviour.Sign != nil {
		return p.behaviour.Sign(claims)
	}
	return p.keys.sign(p.t, p.keys.current, claims)
}

func (p *Provider) claims(person Person) map[string]any {
	claims := map[string]any{"sub": person.Subject, "preferred_username": person.Name, "groups": person.Groups}
	maps.Copy(claims, person.Claims)
	return claims
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.bearer(w, r)
	if g == nil {
		return
	}
	claims := p.claims(g.person)
	if p.behaviour.UserInfo != nil {
		p.behaviour.UserInfo(claims)
	}
	sendJSON(w, http.StatusOK, claims)
}

func (p *Provider) sendKeys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.behaviour.KeysStatus != 0 {
		http.Error(w, "trouble", p.behaviour.KeysStatus)
		return
	}
	sendJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: p.keys.current.private.Public(), KeyID: p.keys.current.id, Algorithm: string(jose.RS256), Use: "sig",
	}}})
}

// RotateKeys makes the provider sign with another key and publish only that.
func (p *Provider) RotateKeys() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys.current = newKey(p.t)
}

// signingKeys are the provider's key and one that it never published.
type signingKeys struct{ current, foreign key }

type key struct {
	id      string
	private *rsa.PrivateKey
}

// firstKeys are made once for all providers of a test run: that takes longer than most tests.
var firstKeys = sync.OnceValues(func() (keys signingKeys, err error) {
	if keys.current.private, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return keys, err
	}
	keys.foreign.private, err = rsa.GenerateKey(rand.Reader, 2048)
	return keys, err
})

func newSigningKeys(t testing.TB) *signingKeys {
	t.Helper()
	keys, err := firstKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys.current.id, keys.foreign.id = rand.Text(), rand.Text()
	return &keys
}

func newKey(t testing.TB) key {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key{id: rand.Text(), private: private}
}

func (k *signingKeys) sign(t testing.TB, by key, claims map[string]any) string {
	return sign(t, jose.RS256, jose.JSONWebKey{Key: by.private, KeyID: by.id}, nil, claims)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, by any, headers map[jose.HeaderKey]any, claims map[string]any) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: by}, &jose.SignerOptions{ExtraHeaders: headers})
	if err != nil {
		t.Errorf("authtest: %v", err)
		return ""
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Errorf("authtest: %v", err)
	}
	return text
}

// unsigned is an ID token by the algorithm "none".
func unsigned(t testing.TB, claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		t.Errorf("authtest: %v", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + encode(body) + "."
}

// publicPEM is the provider's public key as text, which an HMAC could be made with by anybody.
func (k key) publicPEM(t testing.TB) []byte {
	public := k.private.Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Errorf("authtest: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
