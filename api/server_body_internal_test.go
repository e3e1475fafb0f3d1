package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// What a server shall be called is checked when it is read, whatever the server's state: a start of one that is on its way looks at it no further.
func TestServerBodyChecksTheName(t *testing.T) {
	t.Parallel()
	for name, right := range map[string]bool{
		"My lab": true, "": true, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false, "a\u0006b": false, " a": false,
	} {
		body, err := json.Marshal(map[string]string{"display_name": name})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(string(body)))
		if _, err := serverBody(r); right != (err == nil) || err != nil && hub.KindOf(err) != hub.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
