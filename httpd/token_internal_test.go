package httpd

import (
	"net/http"
	"regexp"
	"testing"
)

// FuzzTokenOf compares with the rule as a pattern.
func FuzzTokenOf(f *testing.F) {
	for _, header := range []string{
		"token abc", "Bearer abc", "TOKEN \t abc", "token  ", "token", "", "abc", "token a b", "token abc ", " token abc", "tokenabc", "basic abc", "token\vabc", "token abc\n", "to\u212aen abc",
	} {
		f.Add(header)
	}
	rule := regexp.MustCompile(`(?i)^(?:token|bearer)\s+(\S+)$`)
	f.Fuzz(func(t *testing.T, header string) {
		want := ""
		if m := rule.FindStringSubmatch(header); m != nil {
			want = m[1]
		}
		if got := tokenOf(&http.Request{Header: http.Header{"Authorization": {header}}}); got != want {
			t.Errorf("%q holds the token %q, want %q", header, got, want)
		}
	})
}
