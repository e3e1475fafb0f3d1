package restclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

func hub(t *testing.T, h http.HandlerFunc) *restclient.Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := restclient.New(s.URL, "secret\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "hub.example.org", "ftp://hub.example.org", "https://", "https://user:pw@hub.example.org", "https://hub.example.org/?a=b", "/hub/api", "://"} {
		if _, err := restclient.New(bad, ""); err == nil || !strings.Contains(err.Error(), "must look like") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := restclient.New("http://localhost", "two words"); err == nil || strings.Contains(err.Error(), "two words") {
		t.Errorf("a token that is none: %v", err)
	}
}

// The token goes to the hub, below the usual path, and names are escaped.
func TestDo(t *testing.T) {
	t.Parallel()
	c := hub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the request has %v", r.Header)
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"at": %q}`, r.URL.EscapedPath())
	})
	var out struct{ At string }
	status, err := c.Do(t.Context(), http.MethodPost, restclient.Path("groups", "a/b c", "users"), map[string]any{}, &out)
	if err != nil || status != http.StatusCreated || out.At != "/hub/api/groups/a%2Fb%20c/users" {
		t.Errorf("%d %v %+v", status, err, out)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string // of the error, with HUB for the address
	}{
		"a sentence": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"status": 409, "message": "There is one.", "request_id": "x"}`)
		}, "There is one."},
		"a fault": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, `{"status": 500, "message": "Something went wrong.", "request_id": "x7"}`)
		}, "Something went wrong. (request x7)"},
		"a limit": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "34")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"message": "Too many requests."}`)
		}, "Too many requests. (in 34s)"},
		"somebody else": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, `<html>`)
		}, `What answers at HUB/hub/api is no hub's API: it says "502 Bad Gateway".`},
		"somewhere else": {func(w http.ResponseWriter, r *http.Request) {
			if r.Host == "elsewhere.invalid" {
				t.Error("the token went elsewhere")
			}
			w.Header().Set("Location", "https://elsewhere.invalid/")
			w.WriteHeader(http.StatusMovedPermanently)
		}, "What answers at HUB/hub/api sends on to https://elsewhere.invalid/. If that is the hub, give its address."},
		"no JSON": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
			"what answers at HUB/hub/api is no hub's API: invalid character 'h' looking for beginning of value"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(test.answer)
			t.Cleanup(s.Close)
			c, err := restclient.New(s.URL+"/", "secret")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			var out any
			_, err = c.Do(t.Context(), http.MethodGet, "/user", nil, &out)
			if want := strings.ReplaceAll(test.want, "HUB", s.URL); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := restclient.New(gone.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), http.MethodGet, "/user", nil, nil); err == nil || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a hub that is away: %v", err)
	}
}

func TestListWalksThroughPages(t *testing.T) {
	t.Parallel()
	c := hub(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Accept"), "application/jupyterhub-pagination+json") || r.FormValue("sort") != "name" {
			t.Errorf("asked with %v at %s", r.Header, r.URL)
		}
		switch r.FormValue("offset") {
		case "0":
			fmt.Fprint(w, `{"items": [1, 2], "_pagination": {"next": {"offset": 2, "limit": 2, "url": "http://elsewhere.invalid/"}}}`)
		case "2":
			fmt.Fprint(w, `{"items": [3], "_pagination": {"next": {"offset": 2}}}`) // does not get on
		default:
			t.Errorf("asked for %s", r.URL)
		}
	})
	if got, err := collect(t.Context(), c, "/users"); err != nil || got != "1 2 3" {
		t.Errorf("%s %v", got, err)
	}
	bare := hub(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[4, 5]`) })
	if got, err := collect(t.Context(), bare, "/users"); err != nil || got != "4 5" {
		t.Errorf("%s %v", got, err)
	}
	broken := hub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("offset") == "0" {
			fmt.Fprint(w, `{"items": [1], "_pagination": {"next": {"offset": 1}}}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"message": "No longer."}`)
	})
	if got, err := collect(t.Context(), broken, "/users"); got != "1" || err == nil || err.Error() != "No longer." {
		t.Errorf("%s %v", got, err)
	}
}

func collect(ctx context.Context, c *restclient.Client, path string) (string, error) {
	var got []string
	for item, err := range c.List(ctx, path, map[string][]string{"sort": {"name"}}) {
		if err != nil {
			return strings.Join(got, " "), err
		}
		got = append(got, string(item))
	}
	return strings.Join(got, " "), nil
}

func TestProgress(t *testing.T) {
	t.Parallel()
	c := hub(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/broken") {
			fmt.Fprint(w, "\n\ndata: {\"progress\": 1}\n\ndata: nonsense\n\n")
			return
		}
		fmt.Fprint(w, "\n\n: still here\n\ndata: {\"progress\": 10, \"message\": \"Placed\"}\n\ndata:{\"progress\": 100, \"ready\": true, \"url\": \"/user/a/\"}\n\n")
	})
	var all []restclient.Event
	for e, err := range c.Progress(t.Context(), "/users/a/server/progress") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if text, err := json.Marshal(all); err != nil || len(all) != 2 || all[0].Message != "Placed" || !all[1].Ready {
		t.Errorf("%s %v", text, err)
	}
	var last error
	for _, err := range c.Progress(t.Context(), "/broken") {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "cannot be read") {
		t.Errorf("a broken event: %v", last)
	}
}

// A caller who gives up is not kept waiting.
func TestCancelled(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	c := hub(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-reached
		cancel()
	}()
	if _, err := c.Do(ctx, http.MethodGet, "/user", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
