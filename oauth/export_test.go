package oauth

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// CheckQuestion reads a query, which is understood or refused as the visitor's trouble.
func CheckQuestion(t *testing.T, query string) {
	t.Helper()
	if _, err := readAuthorize(query); err != nil && hub.KindOf(err) != hub.Invalid {
		t.Errorf("%q is refused as %v", query, err)
	}
}

// CheckSendBack sends a state back to a URI, which must keep all that it had and gain the state, no header and no fragment.
func CheckSendBack(t *testing.T, uri, state string) {
	t.Helper()
	before, err := url.Parse(uri)
	if err != nil || before.Fragment != "" || strings.Contains(uri, "#") || strings.Contains(before.RawQuery, "state") {
		return // no URI that is ever registered
	}
	w := httptest.NewRecorder()
	sendBack(w, uri, "state", state)
	location := w.Header().Get("Location")
	if !strings.HasPrefix(location, uri) || strings.ContainsAny(location[len(uri):], "\r\n #") {
		t.Errorf("%q becomes %q", uri, location)
	}
	after, err := url.Parse(location)
	if err != nil {
		t.Fatalf("%q and %q become %q: %v", uri, state, location, err)
	}
	if got := after.Query().Get("state"); got != state {
		t.Errorf("%q came back as %q", state, got)
	}
}
