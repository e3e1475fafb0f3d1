package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestErrorsByKind is the one table from kinds to HTTP; what the person reads is the sentence, and never the cause.
func TestErrorsByKind(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp 10.0.0.7: password=hunter2")
	for _, c := range []struct {
		err     error
		status  int
		message string // begins so
		level   slog.Level
	}{
		{&hub.Error{Kind: hub.Invalid, Message: "So not.", Err: cause}, 400, "So not.", slog.LevelDebug},
		{&hub.Error{Kind: hub.Unauthenticated, Message: "Who?", Err: cause}, 401, "Who?", slog.LevelDebug},
		{&hub.Error{Kind: hub.Forbidden, Message: "No.", Err: cause}, 403, "No.", slog.LevelDebug},
		{&hub.Error{Kind: hub.NotFound, Message: "None.", Err: cause}, 404, "None.", slog.LevelDebug},
		{&hub.Error{Kind: hub.Conflict, Message: "Taken.", Err: cause}, 409, "Taken.", slog.LevelDebug},
		{&hub.Error{Kind: hub.NotRunning, Message: "Down.", Err: cause}, 424, "Down.", slog.LevelDebug},
		{&hub.Error{Kind: hub.TooMany, Message: "Later.", Err: cause}, 429, "Later.", slog.LevelDebug},
		{&hub.Error{Kind: hub.Unavailable, Message: "Away.", Err: cause}, 503, "Away.", slog.LevelError},
		{&hub.Error{Kind: hub.Internal, Message: "secret inside", Err: cause}, 500, "Something went wrong inside the hub.", slog.LevelError},
		{cause, 500, "Something went wrong inside the hub.", slog.LevelError},
		{fmt.Errorf("store: %w", hub.ErrNotFound), 404, "There is nothing", slog.LevelDebug},
		{fmt.Errorf("store: %w", hub.ErrStale), 409, "Somebody changed", slog.LevelDebug},
		{fmt.Errorf("store: %w", hub.ErrExists), 409, "Somebody changed", slog.LevelDebug},
		{fmt.Errorf("around: %w", hub.Errorf(hub.Forbidden, "Not you.")), 403, "Not you.", slog.LevelDebug},
	} {
		var log bytes.Buffer
		g := httpd.Group{Render: httpd.RenderJSON, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		w := httptest.NewRecorder()
		g.Do(func(http.ResponseWriter, *http.Request) error { return c.err })(w, request("GET", "/x"))
		var body struct {
			Status  int
			Message string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatalf("%v: %s", c.err, w.Body)
		}
		if w.Code != c.status || body.Status != c.status || !strings.HasPrefix(body.Message, c.message) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v: %d %s", c.err, w.Code, w.Body)
		}
		for _, secret := range []string{"hunter2", "secret inside"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%v: the person reads %s", c.err, w.Body)
			}
		}
		if !strings.Contains(log.String(), "level="+c.level.String()) || !strings.Contains(log.String(), "status=") {
			t.Errorf("%v: the log says %s", c.err, log.String())
		}
	}
}

func TestRetryAfterIsRoundedUp(t *testing.T) {
	t.Parallel()
	g := httpd.Group{Render: httpd.RenderJSON, Log: discard()}
	w := httptest.NewRecorder()
	g.Fail(w, request("POST", "/x"), &hub.Error{Kind: hub.TooMany, Message: "Later.", RetryAfter: 1200 * time.Millisecond})
	if got := w.Header().Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After is %q", got)
	}
}

// TestClientGone: nobody is told, and nothing is logged as a fault of ours, when the client left.
func TestClientGone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g := httpd.Group{Render: httpd.RenderJSON, Log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	g.Fail(w, request("GET", "/x").WithContext(ctx), fmt.Errorf("read: %w", context.Canceled))
	if w.Body.Len() > 0 || log.Len() > 0 {
		t.Errorf("said %s, logged %s", w.Body, log.String())
	}
}

type order struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]struct {
		order   order
		trouble string
	}{
		`{"name":"a","count":2}`: {order{"a", 2}, ""},
		"":                       {order{}, ""},
		" \n":                    {order{}, ""},
		"{}":                     {order{}, ""},
		"null":                   {order{}, ""},
		`{"count":"two"}`:        {order{}, "the field count must not be of the type string"},
		`[]`:                     {order{}, "it must not be of the type array"},
		`{"nam":1}`:              {order{}, `the key "nam" is not known`},
		`{"name":"a"`:            {order{}, "cannot be parsed"},
		`{} {}`:                  {order{}, "something follows it"},
		`{"name":"` + strings.Repeat("x", 1<<20) + `"}`: {order{}, "larger than"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(body))
		got, err := httpd.Decode[order](r)
		shown := body[:min(len(body), 40)]
		if want.trouble == "" {
			if diff := cmp.Diff(want.order, got); err != nil || diff != "" {
				t.Errorf("%s: %v %s", shown, err, diff)
			}
			continue
		}
		if hub.KindOf(err) != hub.Invalid || !strings.Contains(err.Error(), want.trouble) {
			t.Errorf("%s: %v", shown, err)
		}
	}
	lenient, err := httpd.DecodeLenient[order](httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(`{"name":"a","more":1}`)))
	if err != nil || lenient.Name != "a" {
		t.Errorf("lenient: %+v %v", lenient, err)
	}
}

// TestParam: names arrive as they were before they were encoded, exactly once.
func TestParam(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/users/alice": "alice", "/users/joe%20b@ex.org": "joe b@ex.org", "/users/joe%20b%40ex.org": "joe b@ex.org", "/users/100%25": "100%", "/users/100%2525": "100%25",
		"/users/a%2Fb": "a/b", "/users/%252e": "%2e", "/users/a+b": "a+b", "/users/%28x%29": "(x)", "/users/(x)": "(x)", "/users/%E5%90%8D": "名", "/users/a;b": "a;b",
	} {
		var got string
		router := chi.NewRouter()
		router.Get("/users/{name}", func(_ http.ResponseWriter, r *http.Request) {
			var err error
			if got, err = httpd.Param(r, "name"); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		})
		router.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
}
