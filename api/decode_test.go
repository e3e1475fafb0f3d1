package api

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 1, 31, 12, 34, 56, 0, time.UTC)
	for _, text := range []string{
		"2026-01-31T12:34:56Z", "2026-01-31T12:34:56.000000Z", "2026-01-31T13:34:56+01:00", "2026-01-31T13:34:56+0100", "2026-01-31T13:34:56+01",
		"2026-01-31T12:34:56", "2026-01-31 12:34:56", "2026-01-31 12:34:56+00:00", "20260131T123456Z", "20260131T123456",
		"Sat, 31 Jan 2026 12:34:56 GMT", "Sat, 31 Jan 2026 13:34:56 +0100",
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
	if got, err := parseTime("2026-01-31T12:34:56.789012Z"); err != nil || got.Nanosecond() != 789012000 {
		t.Errorf("the fraction is lost: %v, %v", got, err)
	}
	for _, text := range []string{"", " ", "now", "1769862896", "2026-02-30", "2026-01-31T25:00:00Z", strings.Repeat("9", 1000)} {
		if got, err := parseTime(text); hub.KindOf(err) != hub.Invalid || len(err.Error()) > 200 {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestTimestamp(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	for want, in := range map[any]time.Time{
		nil:                           {},
		"2026-01-31T12:34:56Z":        time.Date(2026, 1, 31, 13, 34, 56, 0, berlin),
		"2026-01-31T12:34:56.100000Z": time.Date(2026, 1, 31, 12, 34, 56, 100_000_000, time.UTC),
		"2026-01-31T12:34:56.000001Z": time.Date(2026, 1, 31, 12, 34, 56, 1999, time.UTC),
		"2026-01-31T12:34:57Z":        time.Date(2026, 1, 31, 12, 34, 57, 999, time.UTC),
	} {
		if got := timestamp(in); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	for range 10_000 {
		in := time.UnixMicro(rand.Int64N(time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())).Truncate(time.Duration(rand.IntN(2)) * time.Second)
		layout := "2006-01-02T15:04:05.000000Z"
		if in.Nanosecond() == 0 {
			layout = "2006-01-02T15:04:05Z"
		}
		if got, want := timestamp(in), in.UTC().Format(layout); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if got := timestamp(time.Date(12_345, 1, 31, 0, 0, 0, 0, time.UTC)); got != "12345-01-31T00:00:00Z" {
		t.Errorf("got %v", got)
	}
}

// FuzzBodies feeds every body that the API reads: whatever comes, it is understood or refused as the client's mistake.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		`{"last_activity": "2026-01-31T12:34:56Z", "servers": {"": {"last_activity": "2026-01-31"}}}`,
		`{"usernames": ["a"], "admin": true}`, `{"note": "n", "expires_in": 1, "scopes": ["self"]}`, `{"roles": ["user"]}`, `{"remove": true}`, `null`, `[]`, `{} {}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := func() *http.Request { return httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)) }
		check := func(err error) {
			if err != nil && hub.KindOf(err) != hub.Invalid {
				t.Errorf("%q is refused as %v", body, err)
			}
		}
		report, err := httpd.DecodeLenient[activityReport](r())
		check(err)
		if err == nil {
			_, _, err = report.times()
			check(err)
		}
		token, err := httpd.DecodeLenient[newToken](r())
		check(err)
		if err == nil {
			wish, err := token.wish(hub.Principal{}, hub.User{}, scope.Standard())
			check(err)
			if err == nil && wish.ExpiresIn < 0 {
				t.Errorf("%q makes a token that expires in %v", body, wish.ExpiresIn)
			}
		}
		user, err := httpd.Decode[userBody](r())
		check(err)
		if err == nil {
			check(user.check())
		}
		server, err := serverBody(r())
		check(err)
		if err == nil && server.Options != nil && !json.Valid(server.Options) {
			t.Errorf("%q becomes the options %q", body, server.Options)
		}
		edit, err := editBody(r())
		check(err)
		if err == nil && edit.Options != nil && !json.Valid(edit.Options) {
			t.Errorf("%q becomes the options %q", body, edit.Options)
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add("offset=1&limit=2", "application/jupyterhub-pagination+json")
	f.Add("offset=-9223372036854775808", "a,b;q=1")
	f.Fuzz(func(t *testing.T, query, accept string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", accept)
		p, err := pageOf(r)
		if err != nil {
			if hub.KindOf(err) != hub.Invalid {
				t.Errorf("%q is refused as %v", query, err)
			}
			return
		}
		if p.offset < 0 || p.limit < 1 || p.limit > maxLimit {
			t.Errorf("%q is the page %+v", query, p)
		}
	})
}
