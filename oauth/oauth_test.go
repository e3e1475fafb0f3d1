package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/oauth"
)

const callback = "/user/alice/oauth_callback"

// bench is a provider on a real hub, with the running server of alice as its client.
type bench struct {
	*hubtest.Bench
	t      *testing.T
	server hub.Server
	secret string
}

func newBench(t *testing.T, change ...func(*oauth.Options)) *bench {
	t.Helper()
	b := &bench{Bench: hubtest.New(t), t: t}
	o := oauth.Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log}
	for _, c := range change {
		c(&o)
	}
	p, err := oauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Serve(nil, p.Mount)
	b.User("alice", false)
	b.server = b.Start("alice", "")
	b.secret = b.ServerToken(b.server)
	return b
}

type answer struct {
	*http.Response
	body string
}

func (b *bench) send(c *http.Client, method, path, body string, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.Public.URL+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{res, string(text)}
}

// question is what alice's server asks; pairs change it, and "" removes.
func question(pairs ...string) url.Values {
	q := url.Values{"client_id": {"jupyterhub-user-alice"}, "response_type": {"code"}, "redirect_uri": {callback}, "state": {"s"}}
	for pair := range slices.Chunk(pairs, 2) {
		if q.Set(pair[0], pair[1]); pair[1] == "" {
			q.Del(pair[0])
		}
	}
	return q
}

func (b *bench) ask(c *http.Client, q url.Values) answer {
	b.t.Helper()
	return b.send(c, http.MethodGet, "/hub/api/oauth2/authorize?"+q.Encode(), "")
}

// code gets a code for the visitor.
func (b *bench) code(c *http.Client, pairs ...string) string {
	b.t.Helper()
	a := b.ask(c, question(pairs...))
	to, err := a.Location()
	if err != nil || a.StatusCode != http.StatusFound || to.Query().Get("code") == "" {
		b.t.Fatalf("no code: %s %v: %s", a.Status, a.Header, a.body)
	}
	return to.Query().Get("code")
}

// exchange is what alice's server sends for a code; pairs change it, and "-" removes.
func (b *bench) exchange(code string, pairs ...string) answer {
	b.t.Helper()
	form := url.Values{
		"client_id": {"jupyterhub-user-alice"}, "client_secret": {b.secret}, "grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
	}
	for pair := range slices.Chunk(pairs, 2) {
		if form.Set(pair[0], pair[1]); pair[1] == "-" {
			form.Del(pair[0])
		}
	}
	return b.send(http.DefaultClient, http.MethodPost, "/hub/api/oauth2/token", form.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", "token "+b.secret)
}

func TestNewNeedsItsParts(t *testing.T) {
	t.Parallel()
	if _, err := oauth.New(oauth.Options{}); err == nil {
		t.Error("a provider without a hub is accepted")
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.User("bob", false)
	alice, bob := b.Browser("alice"), b.Browser("bob")
	for _, c := range []struct {
		name     string
		who      *http.Client
		query    url.Values
		status   int
		location string // how it begins
		body     string
	}{
		{"own server", alice, question(), http.StatusFound, callback + "?code=", ""},
		{"no redirect URI", alice, question("redirect_uri", ""), http.StatusFound, callback + "?code=", ""},
		{"nobody", b.Browser(""), question(), http.StatusFound, "/hub/login?next=%2Fhub%2Fapi%2Foauth2%2Fauthorize%3Fclient_id%3D", ""},
		{"no client", alice, question("client_id", ""), http.StatusBadRequest, "", "is not known"},
		{"unknown client", alice, question("client_id", "jupyterhub-user-bob"), http.StatusBadRequest, "", "is not known"},
		{"foreign redirect URI", alice, question("redirect_uri", "https://evil.example/"), http.StatusBadRequest, "", "not its own"},
		{"nearly the redirect URI", alice, question("redirect_uri", callback+"/"), http.StatusBadRequest, "", "not its own"},
		{"client twice", alice, url.Values{"client_id": {"a", "jupyterhub-user-alice"}}, http.StatusBadRequest, "", "more than once"},
		{"implicit flow", alice, question("response_type", "token"), http.StatusFound, callback + "?error=unsupported_response_type&", ""},
		{"no flow", alice, question("response_type", ""), http.StatusFound, callback + "?error=unsupported_response_type&", ""},
		{"unknown scope", alice, question("scope", "no:such"), http.StatusFound, callback + "?error=invalid_scope&", ""},
		{"too much", alice, question("scope", "admin:users"), http.StatusFound, callback + "?error=invalid_scope&", ""},
		{"identify", alice, question("scope", "identify"), http.StatusFound, callback + "?code=", ""},
		{"odd challenge", alice, question("code_challenge", "x", "code_challenge_method", "md5"), http.StatusFound, callback + "?error=invalid_request&", ""},
		{"a stranger", bob, question(), http.StatusForbidden, "", "You may not use this server of alice"},
		{"unknown parameters", alice, question("nonce", "1", "foo", "bar"), http.StatusFound, callback + "?code=", ""},
	} {
		a := b.ask(c.who, c.query)
		location := a.Header.Get("Location")
		if a.StatusCode != c.status || !strings.HasPrefix(location, c.location) || c.location == "" && location != "" || !strings.Contains(a.body, c.body) {
			t.Errorf("%s: got %d to %q: %s", c.name, a.StatusCode, location, a.body)
		}
		if strings.Contains(c.location, "error") && !strings.HasSuffix(location, "&state=s") {
			t.Errorf("%s: the state is lost: %s", c.name, location)
		}
		if c.body != "" && !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: people are shown %s", c.name, a.Header.Get("Content-Type"))
		}
		if a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: it may be cached", c.name)
		}
	}
	if a := b.send(http.DefaultClient, http.MethodGet, "/hub/api/oauth2/authorize?"+question().Encode(), "", "Authorization", "token "+b.secret); a.Request.URL.Path != "/hub/login" {
		t.Error("a token is taken for a visitor")
	}
	if a := b.send(b.Browser(""), http.MethodPost, "/hub/api/oauth2/authorize?"+question().Encode(), ""); a.StatusCode != http.StatusForbidden {
		t.Errorf("POST of nobody: %s", a.Status)
	}
}

// TestA42_StateComesBackAsItWas: old servers send long base64 with "=", and nothing keeps others from sending anything else.
func TestA42_StateComesBackAsItWas(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.Browser("alice")
	for _, state := range []string{
		"eyJ1dWlkIjogIjEyMyIsICJuZXh0X3VybCI6ICIvdXNlci9hbGljZS8ifQ==", "a b+c/d?e&f=g#h", "ünï\u2028", "\xff\x00", "%41%", `"';<>`, strings.Repeat("x", 4000),
	} {
		a := b.ask(alice, question("state", state))
		to, err := url.Parse(a.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if got := to.Query().Get("state"); got != state || to.Path != callback || to.Fragment != "" {
			t.Errorf("%q came back as %q at %q", state, got, a.Header.Get("Location"))
		}
	}
	if a := b.ask(alice, question("state", "")); strings.Contains(a.Header.Get("Location"), "state") {
		t.Error("a state appears from nowhere")
	}
}

// TestEveryTabHasItsOwnCode: several tabs ask at once.
func TestEveryTabHasItsOwnCode(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.Browser("alice")
	one, two := b.code(alice), b.code(alice)
	for _, code := range []string{two, one} {
		if a := b.exchange(code); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", a.Status, a.body)
		}
	}
}

func TestBrowserCookieIsMended(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	c := b.Browser("alice")
	id := b.Cookie(c, "/user/alice/", httpd.BrowserCookie)
	at, err := url.Parse(b.Public.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*http.Cookie{
		{Name: httpd.BrowserCookie, Path: "/", MaxAge: -1}, {Name: httpd.BrowserCookie, Path: "/", Value: strings.Repeat("0", 32)},
	} {
		c.Jar.SetCookies(at, []*http.Cookie{bad})
		b.code(c)
		if got := b.Cookie(c, "/user/alice/", httpd.BrowserCookie); got != id {
			t.Errorf("the cookie is %q, the session's is %q", got, id)
		}
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	var page oauth.ConsentPage
	b := newBench(t, func(o *oauth.Options) {
		o.Consent = func(w http.ResponseWriter, _ *http.Request, p oauth.ConsentPage) error {
			page = p
			_, err := io.WriteString(w, "asked")
			return err
		}
	})
	b.User("root", true)
	root := b.Browser("root")
	at := "/hub/api/oauth2/authorize?" + question().Encode()
	if a := b.send(root, http.MethodGet, at, ""); a.StatusCode != http.StatusOK || a.body != "asked" {
		t.Fatalf("no consent is asked for: %s %s", a.Status, a.body)
	}
	if a := b.send(root, http.MethodGet, at, ""); a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Content-Security-Policy") != "frame-ancestors 'none'" {
		t.Error("the page of somebody else can be framed")
	}
	if page.User != "root" || page.Owner != "alice" || page.Description != "Server at /user/alice/" || page.Action != at || page.Home != "/hub/home" || len(page.Scopes) != 3 {
		t.Errorf("the page is about %+v", page)
	}
	for _, s := range page.Scopes {
		if !s.Required || !strings.HasSuffix(s.Label, ".") {
			t.Errorf("the scope is %+v", s)
		}
	}
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	if a := b.send(root, http.MethodPost, page.Action, "", form...); a.StatusCode != http.StatusForbidden {
		t.Errorf("a forged consent: %s", a.Status)
	}
	yes := url.Values{"_xsrf": {page.XSRF}, "scopes": {"admin:users", "inherit"}}.Encode()
	a := b.send(root, http.MethodPost, page.Action, yes, form...)
	to, err := a.Location()
	if err != nil {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	var token struct {
		Scope string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(b.exchange(to.Query().Get("code")).body), &token); err != nil {
		t.Fatal(err)
	}
	if token.Scope != "read:users:name!user=root read:users:groups!user=root access:servers!server=alice/" {
		t.Errorf("granted is %q", token.Scope)
	}
	if a := b.ask(root, question()); a.StatusCode != http.StatusFound {
		t.Errorf("consent is asked for again: %s", a.Status)
	}
}

func TestPlainConsentPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.User("root", true)
	a := b.ask(b.Browser("root"), question("state", `"><script>alert(1)</script>`))
	if a.StatusCode != http.StatusOK || strings.Contains(a.body, "<script") || !strings.Contains(a.body, "Know your user name.") {
		t.Errorf("%s: %s", a.Status, a.body)
	}
	if csp := a.Header.Get("Content-Security-Policy"); csp != "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'" {
		t.Errorf("the page's policy is %q", csp)
	}
}

// oauthError is the body of a refusal.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (a answer) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	var e oauthError
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || a.StatusCode != status || e.Error != code || e.Description == "" {
		t.Errorf("%s: got %s %s, want %d %s", what, a.Status, a.body, status, code)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s: the headers are %v", what, a.Header)
	}
	challenge := a.Header.Get("WWW-Authenticate")
	if want := map[bool]string{true: `Bearer error="invalid_client"`}[status == http.StatusUnauthorized]; challenge != want {
		t.Errorf("%s: WWW-Authenticate is %q", what, challenge)
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.User("bob", false)
	other := b.Start("bob", "")
	alice := b.Browser("alice")
	code := b.code(alice)
	for _, c := range []struct {
		what   string
		change []string
		status int
		code   string
	}{
		{"unknown client", []string{"client_id", "jupyterhub-user-eve"}, http.StatusUnauthorized, "invalid_client"},
		{"no client", []string{"client_id", "-"}, http.StatusUnauthorized, "invalid_client"},
		{"wrong secret", []string{"client_secret", "0123"}, http.StatusUnauthorized, "invalid_client"},
		{"no secret", []string{"client_secret", "-"}, http.StatusUnauthorized, "invalid_client"},
		{"another server's secret", []string{"client_secret", b.ServerToken(other)}, http.StatusUnauthorized, "invalid_client"},
		{"a person's token", []string{"client_secret", b.Token(b.User("alice", false))}, http.StatusUnauthorized, "invalid_client"},
		{"unknown code", []string{"code", "0123"}, http.StatusBadRequest, "invalid_grant"},
		{"another client's code", []string{"client_id", "jupyterhub-user-bob", "client_secret", b.ServerToken(other)}, http.StatusBadRequest, "invalid_grant"},
		{"no code", []string{"code", "-"}, http.StatusBadRequest, "invalid_request"},
		{"other redirect URI", []string{"redirect_uri", "/user/bob/oauth_callback"}, http.StatusBadRequest, "invalid_request"},
		{"password", []string{"grant_type", "password"}, http.StatusBadRequest, "unsupported_grant_type"},
		{"client credentials", []string{"grant_type", "client_credentials"}, http.StatusBadRequest, "unsupported_grant_type"},
		{"no grant type", []string{"grant_type", "-"}, http.StatusBadRequest, "unsupported_grant_type"},
		{"refresh", []string{"grant_type", "refresh_token", "refresh_token", "x"}, http.StatusBadRequest, "unauthorized_client"},
	} {
		b.exchange(code, c.change...).refused(t, c.what, c.status, c.code)
	}
	const at, form = "/hub/api/oauth2/token", "application/x-www-form-urlencoded"
	body := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}}.Encode()
	basic := base64.StdEncoding.EncodeToString([]byte("jupyterhub-user-alice:" + b.secret))
	b.send(http.DefaultClient, http.MethodPost, at, body, "Content-Type", form, "Authorization", "Basic "+basic).
		refused(t, "Basic", http.StatusUnauthorized, "invalid_client")
	b.send(http.DefaultClient, http.MethodPost, at, `{"grant_type": "authorization_code"}`, "Content-Type", "application/json").
		refused(t, "JSON", http.StatusBadRequest, "unsupported_grant_type")
	b.send(http.DefaultClient, http.MethodPost, at+"?"+body, "", "Content-Type", form).
		refused(t, "in the query", http.StatusBadRequest, "unsupported_grant_type")
	b.send(http.DefaultClient, http.MethodPost, at, "code=1&code=2", "Content-Type", form).refused(t, "twice", http.StatusBadRequest, "invalid_request")
	b.send(http.DefaultClient, http.MethodPost, at, "code=%zz", "Content-Type", form).refused(t, "broken", http.StatusBadRequest, "invalid_request")
	b.send(http.DefaultClient, http.MethodPost, at, "code="+strings.Repeat("x", 1<<20), "Content-Type", form).refused(t, "huge", http.StatusBadRequest, "invalid_request")
	for method, status := range map[string]int{http.MethodGet: http.StatusMethodNotAllowed, http.MethodOptions: http.StatusOK} {
		if a := b.send(http.DefaultClient, method, at, ""); a.StatusCode != status {
			t.Errorf("%s: %s", method, a.Status)
		}
	}
	if a := b.send(http.DefaultClient, http.MethodGet, "/hub/api/oauth2/keys", ""); a.StatusCode != http.StatusNotFound || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("an unknown path: %s", a.Status)
	}

	// After all that, the code is as good as ever, once; and the token is what it was asked for.
	a := b.exchange(code, "redirect_uri", "-", "code_verifier", "not asked for")
	var reply map[string]any
	if err := json.Unmarshal([]byte(a.body), &reply); err != nil || a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	access, _ := reply["access_token"].(string)
	delete(reply, "access_token")
	want := map[string]any{"token_type": "Bearer", "expires_in": 1209600.0, "scope": "read:users:name!user=alice read:users:groups!user=alice access:servers!server=alice/"}
	if !maps.Equal(reply, want) {
		t.Errorf("the reply is %v", reply)
	}
	p, err := b.Hub.TokenPrincipal(t.Context(), access)
	if err != nil || p.User.Name != "alice" || p.BrowserID() != b.Cookie(alice, "/", httpd.BrowserCookie) {
		t.Errorf("the token is of %+v, %v", p, err)
	}
	b.exchange(code).refused(t, "the code again", http.StatusBadRequest, "invalid_grant")
}

func TestA42_ProofKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	alice := b.Browser("alice")
	const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	sum := sha256.Sum256([]byte(verifier))
	hashed := base64.RawURLEncoding.EncodeToString(sum[:])
	code := b.code(alice, "code_challenge", hashed, "code_challenge_method", "S256")
	b.exchange(code).refused(t, "no verifier", http.StatusBadRequest, "invalid_request")
	b.exchange(code, "code_verifier", "x"+verifier).refused(t, "wrong verifier", http.StatusBadRequest, "invalid_grant")
	b.exchange(code, "code_verifier", hashed).refused(t, "the challenge for the verifier", http.StatusBadRequest, "invalid_grant")
	if a := b.exchange(code, "code_verifier", verifier); a.StatusCode != http.StatusOK {
		t.Errorf("the verifier: %s %s", a.Status, a.body)
	}
	// Who sees the address of the request sees a plain challenge, which is its own verifier.
	for what, challenge := range map[string][]string{
		"plain": {"code_challenge", verifier, "code_challenge_method", "plain"}, "no method": {"code_challenge", verifier},
		"unknown method": {"code_challenge", verifier, "code_challenge_method", "md5"}, "another case": {"code_challenge", hashed, "code_challenge_method", "s256"},
		"no challenge": {"code_challenge_method", "S256"}, "a long challenge": {"code_challenge", strings.Repeat("x", 129), "code_challenge_method", "S256"},
	} {
		to, err := b.ask(alice, question(challenge...)).Location()
		if err != nil || to.Path != callback || to.Query().Get("error") != "invalid_request" || to.Query().Get("state") != "s" || to.Query().Has("code") {
			t.Errorf("%s: sent to %v, %v", what, to, err)
		}
	}
}

// TestA42_OldPlainChallengesProveNothing: what a hub of another version took for a challenge does not become a token here.
func TestA42_OldPlainChallengesProveNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.code(b.Browser("alice")) // alice is there
	u, err := b.Hub.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"plain", ""} {
		code := "made before the upgrade" + method
		hash := sha256.Sum256([]byte(code))
		if err := b.Store.CreateCode(t.Context(), hub.OAuthCode{
			Hash: hash[:], ClientID: "jupyterhub-user-alice", UserID: u.ID, RedirectURI: callback, Challenge: "abc", ChallengeType: method, Expires: time.Now().Add(hubtest.Patience),
		}); err != nil {
			t.Fatal(err)
		}
		b.exchange(code, "code_verifier", "abc").refused(t, "method "+method, http.StatusBadRequest, "invalid_grant")
	}
}

// away is a hub whose database does not answer.
type away struct{ oauth.Hub }

func (away) Exchange(context.Context, hub.ExchangeRequest) (hub.ExchangeReply, error) {
	return hub.ExchangeReply{}, &hub.Error{Kind: hub.Unavailable, Message: "The database is away.", Err: errors.New("dial tcp 10.0.0.1: refused")}
}

// TestTroubleIsNoRefusal: a server takes a refusal for an answer, and remembers it.
func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *oauth.Options) { o.Hub = away{o.Hub} })
	a := b.exchange("x")
	a.refused(t, "no database", http.StatusServiceUnavailable, "temporarily_unavailable")
	if strings.Contains(a.body, "10.0.0.1") {
		t.Errorf("the cause is told: %s", a.body)
	}
}

func FuzzQuestions(f *testing.F) {
	f.Add("client_id=a&state=%00&redirect_uri=/x", "/x?y=1", "s&t")
	f.Fuzz(func(t *testing.T, query, uri, state string) {
		oauth.CheckQuestion(t, query)
		oauth.CheckSendBack(t, uri, state)
	})
}
