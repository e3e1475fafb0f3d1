package httpd

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// madeElsewhere tells whether the browser says that a page of another origin made the request. The page token would do where nobody else can know or plant one; but
// hosts below ours can plant cookies, and with them a visitor's token of their own making.
func madeElsewhere(r *http.Request, urls hub.URLs) bool {
	switch site := r.Header.Get("Sec-Fetch-Site"); site {
	case "same-origin", "none":
		return false
	case "":
	default:
		return true
	}
	// Browsers leave that header away without TLS. What a proxy before us made of the Host is only known from the configuration.
	origin := r.Header.Get("Origin")
	if origin == "" || urls.Public() == nil {
		return false
	}
	from, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(from.Host, urls.Public().Host) && !strings.EqualFold(from.Host, r.Host)
}

// Alone has browsers keep an answer of the hub's, shown as a page, apart from whoever opened it: not even a page of the same origin, which a notebook may have, gets hold of its window.
func Alone(h http.Header) { h.Set("Cross-Origin-Opener-Policy", "noopener-allow-popups") }

// readByScript tells whether a script asks, in a way in which it can read the answer.
func readByScript(r *http.Request) bool {
	if !isReading(r.Method) {
		return false
	}
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode == "cors" || mode == "same-origin"
}

// NeedPerson lets scripts read pages only with the page token. A notebook on the hub's own host has the same origin as the hub, and could read in the name of its visitor
// whatever the visitor may. It is to stand behind NeedLogin.
func (s *Sessions) NeedPerson(g Group) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if readByScript(r) && !s.carriesPageToken(r, Principal(r).Session) {
				nobody := context.WithValue(r.Context(), principalKey{}, &hub.Principal{}) // the refusal is not to say who is logged in
				g.Fail(w, r.WithContext(nobody), errXSRF)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
