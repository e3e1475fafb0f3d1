// Package authtest tests authenticators that send the browser to a provider. It has providers that speak the wire, over TLS, and can be
// told to misbehave, and a suite that every such authenticator passes. It is for tests only.
package authtest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/secret"
)

// ClientID is what the providers call the hub.
const ClientID = "hub@example"

// Person is who sits at the browser.
type Person struct {
	Subject string         // OpenID's sub, GitHub's numeric ID
	Name    string         // OpenID's preferred_username, GitHub's login
	Groups  []string       // OpenID's claim "groups"; GitHub's organizations ("org") and teams ("org:team")
	Claims  map[string]any // more claims of OpenID
}

// Alice is the person at the browser unless a test says otherwise.
func Alice() Person {
	return Person{Subject: "4711", Name: "alice", Groups: []string{"physics", "physics:staff"}}
}

// Behaviour is how a provider acts. The zero value is as it should.
type Behaviour struct {
	AuthorizeError string // the login page answers with this error
	TokenStatus    int    // the token endpoint answers with this status and no sense
	TokenError     string // the token endpoint answers with this error of OAuth
	APIStatus      int    // userinfo, or GitHub's API, answers with this status
	Scope          string // granted instead of what was asked for
	// Down cuts every connection without an answer.
	Down bool
	// Hold keeps every request waiting until it is closed, or until the asker leaves; see [Provider.Held].
	Hold <-chan struct{}

	// The rest is of OpenID only.
	DiscoveryStatus int                             // instead of a discovery document
	KeysStatus      int                             // instead of keys
	Metadata        map[string]any                  // put into the discovery document
	Iss             string                          // parameter of the answer, by RFC 9207
	Claim           func(claims map[string]any)     // changes what the ID token says
	Sign            func(claims map[string]any) any // makes the ID token itself; nil for none at all
	UserInfo        func(claims map[string]any)     // changes what the userinfo endpoint says
}

// Provider is a login provider on this machine. Its methods are safe for concurrent use.
type Provider struct {
	t      testing.TB
	server *httptest.Server
	openID bool

	mu        sync.Mutex
	secret    string
	person    Person
	behaviour Behaviour
	codes     map[string]*grant // a code that was used stays, used
	tokens    map[string]*grant
	exchanges int
	held      int
	basic     bool // how the client secret came the last time
	keys      *signingKeys
}

// grant is what the person has allowed the hub.
type grant struct {
	redirect, challenge, nonce, scope string
	person                            Person
	used                              bool
}

func newProvider(t testing.TB, openID bool) *Provider {
	t.Helper()
	p := &Provider{t: t, openID: openID, secret: "secret-" + rand.Text(), person: Alice(), codes: map[string]*grant{}, tokens: map[string]*grant{}}
	mux := http.NewServeMux()
	if openID {
		p.keys = newSigningKeys(t)
		p.routeOpenID(mux)
	} else {
		p.routeGitHub(mux)
	}
	p.server = httptest.NewUnstartedServer(p.reachable(mux))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

// URL is the provider's own: OpenID's issuer, GitHub's url.
func (p *Provider) URL() string { return p.server.URL }

// CAFile returns a file with the certificate to trust.
func (p *Provider) CAFile() string {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// Secret returns the client secret that the provider accepts now.
func (p *Provider) Secret() secret.Value {
	p.mu.Lock()
	defer p.mu.Unlock()
	return secret.Value(p.secret)
}

// Rotate replaces the client secret.
func (p *Provider) Rotate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secret = "rotated-" + rand.Text()
}

// Behave changes how the provider acts.
func (p *Provider) Behave(b Behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.behaviour = b
}

// Sit puts another person before the browser.
func (p *Provider) Sit(person Person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.person = person
}

// Exchanges says how often the token endpoint was asked.
func (p *Provider) Exchanges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exchanges
}

// Basic tells whether the client secret came as HTTP Basic the last time, and not in the form.
func (p *Provider) Basic() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.basic
}

// Held says how many requests were kept waiting so far.
func (p *Provider) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// reachable lets requests through as far as the provider's behaviour allows.
func (p *Provider) reachable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		down, hold := p.behaviour.Down, p.behaviour.Hold
		if hold != nil {
			p.held++
		}
		p.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		if hold != nil {
			// The server notices that the asker left only once the body was read.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Visit does what a browser with a willing person does at the provider's login page, and returns the request that it then sends to the callback.
func (p *Provider) Visit(loginURL string) *http.Request {
	p.t.Helper()
	client := *p.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, loginURL, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusFound {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		p.t.Fatalf("the provider refused the login page's URL: %s %s", resp.Status, text)
	}
	return httptest.NewRequestWithContext(p.t.Context(), http.MethodGet, resp.Header.Get("Location"), nil)
}

// authorize is the login page. It is as strict as a good provider.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := r.URL.Query()
	problem := ""
	switch {
	case q.Get("client_id") != ClientID:
		problem = "unknown client"
	case q.Get("response_type") != "code":
		problem = "response_type is not code"
	case q.Get("redirect_uri") == "":
		problem = "no redirect_uri"
	case len(q.Get("code_challenge")) != 43 || q.Get("code_challenge_method") != "S256":
		problem = "no PKCE by S256"
	case len(q.Get("state")) < 22:
		problem = "no state, or one that can be guessed"
	case p.openID && len(q.Get("nonce")) < 22:
		problem = "no nonce, or one that can be guessed"
	case p.openID && !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		problem = "scope without openid"
	}
	if problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}}
	if p.behaviour.Iss != "" {
		answer.Set("iss", p.behaviour.Iss)
	}
	if p.behaviour.AuthorizeError != "" {
		answer.Set("error", p.behaviour.AuthorizeError)
	} else {
		code := "code-" + rand.Text()
		p.codes[code] = &grant{
			redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), nonce: q.Get("nonce"), scope: q.Get("scope"), person: p.person,
		}
		answer.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

// exchange checks a request to the token endpoint. fail tells what is wrong, in OAuth's words.
func (p *Provider) exchange(r *http.Request) (g *grant, accessToken, fail string) {
	p.exchanges++
	id, password, basic := r.BasicAuth()
	p.basic = basic
	if basic {
		id, _ = url.QueryUnescape(id)
		password, _ = url.QueryUnescape(password)
	} else {
		id, password = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	g = p.codes[r.PostFormValue("code")]
	switch {
	case p.behaviour.TokenError != "":
		return nil, "", p.behaviour.TokenError
	case id != ClientID || password != p.secret:
		return nil, "", "invalid_client"
	case r.PostFormValue("grant_type") != "authorization_code":
		return nil, "", "unsupported_grant_type"
	case g == nil || g.used || r.PostFormValue("redirect_uri") != g.redirect:
		return nil, "", "invalid_grant"
	}
	g.used = true // whatever comes: a code that was shown to somebody is burnt
	if base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		return nil, "", "invalid_grant"
	}
	if p.behaviour.Scope != "" {
		g.scope = p.behaviour.Scope
	}
	accessToken = "access-" + rand.Text()
	p.tokens[accessToken] = g
	return g, accessToken, ""
}

// bearer returns what the request's token allows.
func (p *Provider) bearer(w http.ResponseWriter, r *http.Request) *grant {
	if p.behaviour.APIStatus != 0 {
		http.Error(w, "trouble", p.behaviour.APIStatus)
		return nil
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := p.tokens[token]
	if g == nil {
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}
	return g
}

func sendJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(fmt.Sprintf("authtest: %v", err))
	}
}
