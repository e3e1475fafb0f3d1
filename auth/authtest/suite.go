package authtest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/secret"
)

// Callback is where the provider sends the browser back to.
const Callback = "https://hub.example.org/hub/login/test/callback"

// Redirect describes an authenticator to test.
type Redirect struct {
	// Provider starts a provider of the authenticator's kind: NewOpenID or NewGitHub.
	Provider func(testing.TB) *Provider
	// Open opens the authenticator for it, with the ID "test".
	Open func(t *testing.T, p *Provider, s *Secret) auth.Redirect
	// Alice is who Alice is for the authenticator.
	Alice auth.Identity
}

// Secret is the hub's copy of the client secret.
type Secret struct {
	provider *Provider
	mu       sync.Mutex
	value    secret.Value
	err      error
	asked    int
}

// Get returns the copy.
func (s *Secret) Get() secret.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// Refresh brings the copy up to date.
func (s *Secret) Refresh(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.err == nil {
		s.value = s.provider.Secret()
	}
	return s.err
}

// bench is one authenticator with its provider.
type bench struct {
	auth.Redirect
	provider *Provider
	secret   *Secret
}

func (r Redirect) bench(t *testing.T) *bench {
	t.Helper()
	p := r.Provider(t)
	s := &Secret{provider: p, value: p.Secret()}
	return &bench{r.Open(t, p, s), p, s}
}

// begin takes a login up to the point where the browser comes back.
func (b *bench) begin(t *testing.T) (*http.Request, auth.Flow) {
	t.Helper()
	login, flow, err := b.Begin(t.Context(), Callback)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return b.provider.Visit(login), flow
}

// login tries a whole login.
func (b *bench) login(t *testing.T) (auth.Identity, error) {
	t.Helper()
	r, flow := b.begin(t)
	return b.finish(t, r, flow)
}

// finish looks into every error for what must not be in a log.
func (b *bench) finish(t *testing.T, r *http.Request, flow auth.Flow) (auth.Identity, error) {
	t.Helper()
	id, err := b.Finish(t.Context(), r, Callback, flow)
	if err == nil {
		return id, nil
	}
	if id.Name != "" || id.Subject != "" {
		t.Errorf("an identity came with the error %v: %+v", err, id)
	}
	for what, text := range map[string]string{
		"the client secret": b.secret.Get().Reveal(), "the code": r.URL.Query().Get("code"), "the state": flow.State,
		"the verifier": flow.Verifier, "the nonce": flow.Nonce, "an access token": "access-",
	} {
		if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows %s: %v", what, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 1000 {
		t.Errorf("the error does not fit on a line: %v", err)
	}
	return id, err
}

// want fails the test unless err is of that kind, and only of that.
func want(t *testing.T, kind, err error) {
	t.Helper()
	for _, k := range []error{auth.ErrDenied, auth.ErrUnavailable} {
		if errors.Is(err, k) != errors.Is(kind, k) {
			t.Errorf("got %v, want %v", err, kind)
		}
	}
}

// fails runs one case in which a provider that behaves like b lets nobody in.
func (r Redirect) fails(t *testing.T, name string, kind error, b Behaviour) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		bench := r.bench(t)
		bench.provider.Behave(b)
		_, err := bench.login(t)
		want(t, kind, err)
		bench.provider.Behave(Behaviour{})
		if id, err := bench.login(t); err != nil || id.Subject != r.Alice.Subject {
			t.Errorf("afterwards a good login fails: %v", err)
		}
	})
}

// RunRedirect tests what every authenticator must do that sends the browser to a provider.
func RunRedirect(t *testing.T, r Redirect) {
	t.Helper()
	t.Run("good login", func(t *testing.T) { t.Parallel(); r.testGood(t) })
	t.Run("two tabs", func(t *testing.T) { t.Parallel(); r.testTwoTabs(t) })
	t.Run("wrong answers", func(t *testing.T) { t.Parallel(); r.testAnswers(t) })
	t.Run("replayed code", func(t *testing.T) { t.Parallel(); r.testReplay(t) })
	t.Run("wrong verifier", func(t *testing.T) { t.Parallel(); r.testVerifier(t) })
	t.Run("another callback", func(t *testing.T) { t.Parallel(); r.testCallback(t) })
	t.Run("rotated secret", func(t *testing.T) { t.Parallel(); r.testRotation(t) })
	t.Run("secret not read yet", func(t *testing.T) { t.Parallel(); r.testNoSecret(t) })
	t.Run("provider is away", func(t *testing.T) { t.Parallel(); r.testAway(t) })
	r.fails(t, "refused by the person", auth.ErrDenied, Behaviour{AuthorizeError: "access_denied"})
	r.fails(t, "provider in trouble", auth.ErrUnavailable, Behaviour{AuthorizeError: "temporarily_unavailable"})
	r.fails(t, "hostile error", auth.ErrDenied, Behaviour{AuthorizeError: "x\r\ny: \x1b[2J" + strings.Repeat("z", 5000)})
	r.fails(t, "token endpoint 500", auth.ErrUnavailable, Behaviour{TokenStatus: http.StatusInternalServerError})
	r.fails(t, "token endpoint 429", auth.ErrUnavailable, Behaviour{TokenStatus: http.StatusTooManyRequests})
	r.fails(t, "token endpoint redirects", auth.ErrUnavailable, Behaviour{TokenStatus: http.StatusTemporaryRedirect})
	r.fails(t, "token endpoint refuses", auth.ErrDenied, Behaviour{TokenError: "invalid_request"})
	r.fails(t, "API 500", auth.ErrUnavailable, Behaviour{APIStatus: http.StatusInternalServerError})
}

func (r Redirect) testGood(t *testing.T) {
	b := r.bench(t)
	if b.ID() != "test" || b.Label() == "" {
		t.Errorf("ID %q, label %q", b.ID(), b.Label())
	}
	id, err := b.login(t)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Alice, id); diff != "" {
		t.Error(diff)
	}
	bob := Alice()
	bob.Subject, bob.Name = "815", "bob"
	b.provider.Sit(bob)
	if id, err = b.login(t); err != nil || id.Subject != "815" || id.Name != "bob" {
		t.Errorf("then bob: %+v, %v", id, err)
	}
	if n := b.provider.Exchanges(); n != 2 {
		t.Errorf("two logins asked for a token %d times", n)
	}
}

func (r Redirect) testTwoTabs(t *testing.T) {
	b := r.bench(t)
	first, firstFlow := b.begin(t)
	second, secondFlow := b.begin(t)
	if firstFlow.State == secondFlow.State || firstFlow.Verifier == secondFlow.Verifier {
		t.Error("two logins share what must be random")
	}
	_, err := b.finish(t, second, firstFlow)
	want(t, auth.ErrDenied, err)
	for name, tab := range map[string]func() (auth.Identity, error){
		"second": func() (auth.Identity, error) { return b.finish(t, second, secondFlow) },
		"first":  func() (auth.Identity, error) { return b.finish(t, first, firstFlow) },
	} {
		if _, err := tab(); err != nil {
			t.Errorf("%s tab: %v", name, err)
		}
	}
}

// testAnswers changes the answer on its way through the browser. The provider must not even hear of it.
func (r Redirect) testAnswers(t *testing.T) {
	b := r.bench(t)
	good, flow := b.begin(t)
	for name, change := range map[string]func(q url.Values){
		"wrong state":    func(q url.Values) { q.Set("state", flow.State+"x") },
		"missing state":  func(q url.Values) { q.Del("state") },
		"empty state":    func(q url.Values) { q.Set("state", "") },
		"two states":     func(q url.Values) { q.Add("state", "x") },
		"two codes":      func(q url.Values) { q.Add("code", "x") },
		"missing code":   func(q url.Values) { q.Del("code") },
		"error as well":  func(q url.Values) { q.Set("error", "access_denied") },
		"nothing at all": func(q url.Values) { clear(q) },
	} {
		q := good.URL.Query()
		change(q)
		bad := good.Clone(t.Context())
		bad.URL.RawQuery = q.Encode()
		if _, err := b.finish(t, bad, flow); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, f := range map[string]auth.Flow{
		"no flow":       {},
		"without state": {Nonce: flow.Nonce, Verifier: flow.Verifier},
		"no verifier":   {Nonce: flow.Nonce, State: flow.State},
	} {
		bad := good.Clone(t.Context())
		q := bad.URL.Query()
		q.Set("state", f.State)
		bad.URL.RawQuery = q.Encode()
		if _, err := b.finish(t, bad, f); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.provider.Exchanges(); n != 0 {
		t.Errorf("the provider was asked for a token %d times", n)
	}
	if _, err := b.finish(t, good, flow); err != nil {
		t.Errorf("the good answer: %v", err)
	}
}

func (r Redirect) testReplay(t *testing.T) {
	b := r.bench(t)
	answer, flow := b.begin(t)
	if _, err := b.finish(t, answer, flow); err != nil {
		t.Fatal(err)
	}
	_, err := b.finish(t, answer, flow)
	want(t, auth.ErrDenied, err)
}

// testVerifier proves that the provider is sent a verifier that it can check: PKCE is really used.
func (r Redirect) testVerifier(t *testing.T) {
	b := r.bench(t)
	answer, flow := b.begin(t)
	flow.Verifier = strings.Repeat("x", len(flow.Verifier))
	_, err := b.finish(t, answer, flow)
	want(t, auth.ErrDenied, err)
}

func (r Redirect) testCallback(t *testing.T) {
	b := r.bench(t)
	answer, flow := b.begin(t)
	_, err := b.Finish(t.Context(), answer, Callback+"/other", flow)
	want(t, auth.ErrDenied, err)
}

func (r Redirect) testRotation(t *testing.T) {
	b := r.bench(t)
	answer, flow := b.begin(t)
	b.provider.Rotate() // while the person is typing a password
	if _, err := b.finish(t, answer, flow); err != nil {
		t.Errorf("with the new secret in the store: %v", err)
	}
	if b.secret.asked != 1 {
		t.Errorf("the store was asked %d times", b.secret.asked)
	}
	b.provider.Rotate()
	b.secret.err = secret.ErrUnavailable
	_, err := b.login(t)
	want(t, auth.ErrUnavailable, err)
	b.secret.err = nil
	if _, err := b.login(t); err != nil {
		t.Errorf("when the store is back: %v", err)
	}
}

// testNoSecret: the store was away when the hub started.
func (r Redirect) testNoSecret(t *testing.T) {
	b := r.bench(t)
	b.secret.value, b.secret.err = "", secret.ErrUnavailable
	answer, flow := b.begin(t)
	_, err := b.finish(t, answer, flow)
	want(t, auth.ErrUnavailable, err)
	if n := b.provider.Exchanges(); n != 0 {
		t.Errorf("the code was shown to the provider %d times", n)
	}
	b.secret.err = nil
	if _, err := b.finish(t, answer, flow); err != nil {
		t.Errorf("when the store is back: %v", err)
	}
}

func (r Redirect) testAway(t *testing.T) {
	b := r.bench(t)
	answer, flow := b.begin(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Finish(ctx, answer, Callback, flow)
	want(t, auth.ErrUnavailable, err)
	answer, flow = b.begin(t)
	b.provider.server.CloseClientConnections()
	b.provider.server.Close()
	_, err = b.finish(t, answer, flow)
	want(t, auth.ErrUnavailable, err)
}
