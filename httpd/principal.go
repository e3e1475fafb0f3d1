package httpd

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

type principalKey struct{}

// WithPrincipal returns the request with who makes it.
func WithPrincipal(r *http.Request, p hub.Principal) *http.Request {
	if rec := recordOf(r); rec != nil {
		rec.principal = p
	}
	if x, ok := r.Context().(*exchange); ok {
		x.principal, x.known = p, true
		return r
	}
	other := p // a pointer to p itself would have every p moved to the heap
	return With(r, principalKey{}, &other)
}

// Principal tells who makes the request; the zero Principal if no middleware found out.
func Principal(r *http.Request) hub.Principal {
	if p, ok := r.Context().Value(principalKey{}).(*hub.Principal); ok {
		return *p
	}
	return hub.Principal{}
}

// NeedLogin lets only logged-in browsers pass. Others are sent to log in and come back, if they are reading; a write is refused. Writes are checked for
// coming from our own pages.
func (s *Sessions) NeedLogin(g Group) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return g.Do(func(w http.ResponseWriter, r *http.Request) error {
			p, err := s.Browser(r)
			if hub.KindOf(err) == hub.Unauthenticated {
				if r.Method != http.MethodGet && r.Method != http.MethodHead {
					return hub.Errorf(hub.Forbidden, "You are not logged in any more. Log in and try again.")
				}
				http.Redirect(w, r, s.URLs.Login()+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusFound)
				return nil
			}
			if err != nil {
				return err
			}
			if err := s.CheckXSRF(r, p.Session, false); err != nil {
				return err
			}
			s.KeepBrowserID(w, r, *p.Session) // browsers forget it when they are closed, and remember the login
			next.ServeHTTP(w, WithPrincipal(r, p))
			return nil
		})
	}
}

// NeedCredential lets requests pass that carry a token, or the login cookie of a browser. All others are refused with 403, as in JupyterHub.
func (s *Sessions) NeedCredential(g Group) func(http.Handler) http.Handler {
	return s.NeedCredentialOr(g, func(*http.Request) (hub.Principal, error) { return hub.Principal{}, ErrNoCredential })
}

// NeedCredentialOr is NeedCredential where there is another way to tell who one is: other is asked if there is neither a token that is known nor a login.
// [ErrNoCredential] says that there is nothing of that kind either.
func (s *Sessions) NeedCredentialOr(g Group, other func(*http.Request) (hub.Principal, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return g.Do(func(w http.ResponseWriter, r *http.Request) error {
			// The token's text is enough to hold it back: a request that is refused costs no look into the database.
			if s.Throttle != nil { // else there is nothing to find out for it
				if err := s.Throttle.token(tokenOf(r), time.Now()); err != nil {
					return err
				}
			}
			p, err := s.credential(r)
			if errors.Is(err, ErrNoCredential) {
				p, err = other(r)
			}
			if err != nil {
				return err
			}
			if s.Throttle != nil {
				if err := s.Throttle.user(p.User.ID, time.Now()); err != nil {
					return err
				}
			}
			next.ServeHTTP(w, WithPrincipal(r, p))
			return nil
		})
	}
}

// ErrNoCredential is said of requests without any.
var ErrNoCredential = hub.Errorf(hub.Forbidden, "Missing or invalid credentials.")

func (s *Sessions) credential(r *http.Request) (hub.Principal, error) {
	p, present, err := s.Token(r)
	if present && (err == nil || hub.KindOf(err) != hub.Forbidden) {
		return p, err
	}
	if ct := r.Header.Get("Content-Type"); r.Method == http.MethodPost && ct != "" && !isJSON(ct) {
		return hub.Principal{}, ErrNoCredential // a form of another site can send cookies, but no JSON
	}
	p, err = s.Browser(r)
	if hub.KindOf(err) == hub.Unauthenticated {
		return hub.Principal{}, ErrNoCredential
	}
	if err != nil {
		return hub.Principal{}, err
	}
	return p, s.CheckXSRF(r, p.Session, true)
}

func isJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "application/json"
}
