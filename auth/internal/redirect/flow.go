// Package redirect is what all authenticators have in common that send the browser to a provider by OAuth 2.0: the memory of a flow, the
// reading of the provider's answer, the exchange of the code, and an HTTP client with bounds.
package redirect

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/nomadhub/nomadhub/auth"
)

// NewFlow begins a flow. nonce asks for one, for providers that give it back in a signed token.
func NewFlow(nonce bool) auth.Flow {
	f := auth.Flow{State: rand.Text() + rand.Text(), Verifier: oauth2.GenerateVerifier()}
	if nonce {
		f.Nonce = rand.Text() + rand.Text()
	}
	return f
}

// Code returns the authorization code of the provider's answer, for the browser that holds the flow. It fails with ErrDenied when
// the answer does not belong to the flow or is a refusal, and with ErrUnavailable when the provider says that it has trouble.
func Code(r *http.Request, flow auth.Flow) (code string, answer url.Values, err error) {
	answer, err = url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", nil, fmt.Errorf("%w: the provider's answer cannot be read", auth.ErrDenied)
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if len(answer[name]) > 1 { // which one is meant? Nobody honest asks.
			return "", nil, fmt.Errorf("%w: the provider's answer has several values of %q", auth.ErrDenied, name)
		}
	}
	// The state first: without it an attacker could make somebody else's browser log in as the attacker, or show what they like.
	if flow.State == "" || flow.Verifier == "" {
		return "", nil, fmt.Errorf("%w: this browser has not begun a login, or began it too long ago", auth.ErrDenied)
	}
	if !Same(answer.Get("state"), flow.State) {
		return "", nil, fmt.Errorf("%w: the answer belongs to another login", auth.ErrDenied)
	}
	if problem := answer.Get("error"); problem != "" {
		kind := auth.ErrDenied
		if problem == "server_error" || problem == "temporarily_unavailable" {
			kind = auth.ErrUnavailable
		}
		return "", nil, fmt.Errorf("%w: the provider answered %s", kind, said(problem, answer.Get("error_description")))
	}
	if code = answer.Get("code"); code == "" {
		return "", nil, fmt.Errorf("%w: the provider's answer has no code", auth.ErrDenied)
	}
	return code, answer, nil
}

// Same compares in constant time.
func Same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// said quotes what a provider wrote, or anybody who made a link to us, so that it does no harm in a log.
func said(problem, description string) string {
	if description == "" {
		return fmt.Sprintf("%q", cut(problem))
	}
	return fmt.Sprintf("%q: %q", cut(problem), cut(description))
}

func cut(s string) string { return s[:min(len(s), 200)] }
