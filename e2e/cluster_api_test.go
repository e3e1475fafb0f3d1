package e2e

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// apiClient is a script that uses the REST API.
type apiClient struct {
	base, token string
	http        *http.Client // nil: http.DefaultClient
}

// answer is what the API said.
type answer struct {
	status int
	body   string
}

// ask sends one request; an error means that no answer came.
func (a apiClient) ask(ctx context.Context, method, path, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/hub/api"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "token "+a.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := cmp.Or(a.http, http.DefaultClient).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(text)}, err
}

// must is ask for what has to succeed, with one of the statuses.
func (a apiClient) must(t testing.TB, method, path string, want ...int) answer {
	t.Helper()
	got, err := a.ask(t.Context(), method, path, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(want, got.status) {
		t.Fatalf("%s %s answers %d: %s", method, path, got.status, got.body)
	}
	return got
}

// apiServer is a server as administrators see it.
type apiServer struct {
	Ready, Stopped bool
	Pending        string
	State          struct {
		ID         string
		Generation int64
	}
}

// server reads a user's default server.
func (a apiClient) server(ctx context.Context, user string) (s apiServer, err error) {
	got, err := a.ask(ctx, http.MethodGet, "/users/"+user+"/server", "")
	if err != nil {
		return s, err
	}
	if got.status != http.StatusOK {
		return s, fmt.Errorf("the server of %s: %d %s", user, got.status, got.body)
	}
	return s, json.Unmarshal([]byte(got.body), &s)
}

// awaitServer waits until the user's server is as wanted.
func (a apiClient) awaitServer(t testing.TB, what, user string, wanted func(apiServer) bool) (s apiServer) {
	t.Helper()
	await(t, "the server of "+user+" is "+what, slowly, func() (err error) {
		s, err = a.server(t.Context(), user)
		if err == nil && !wanted(s) {
			err = fmt.Errorf("it is %+v", s)
		}
		return err
	})
	return s
}

func (a apiClient) awaitReady(t testing.TB, user string) apiServer {
	t.Helper()
	return a.awaitServer(t, "ready", user, func(s apiServer) bool { return s.Ready })
}

func (a apiClient) awaitStopped(t testing.TB, user string) apiServer {
	t.Helper()
	return a.awaitServer(t, "stopped", user, func(s apiServer) bool { return s.Stopped })
}

// progressEvent is one message of a start.
type progressEvent struct {
	Message       string
	Progress      int
	Ready, Failed bool
	Log           []string
}

// progress follows a start to its end.
func (a apiClient) progress(t testing.TB, user string) (events []progressEvent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slowly)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/hub/api/users/"+user+"/server/progress", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+a.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e progressEvent
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("progress of %s: %v in %q", user, err, data)
		}
		events = append(events, e)
	}
	if len(events) == 0 || !events[len(events)-1].Ready && !events[len(events)-1].Failed {
		t.Fatalf("the progress of %s has no end: %d, %+v, %v", user, res.StatusCode, events, lines.Err())
	}
	return events
}

var xsrfPattern = regexp.MustCompile(`name="_xsrf" value="([^"]+)"`)

// login logs in with a name and any password, as the form on the login page does, and returns the browser's part.
func login(t testing.TB, base, name string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	page := read(t, c, http.MethodGet, base+"/hub/login", nil)
	field := xsrfPattern.FindStringSubmatch(page)
	if field == nil {
		t.Fatalf("the login page has no page token:\n%s", page)
	}
	home := read(t, c, http.MethodPost, base+"/hub/login", url.Values{"_xsrf": {field[1]}, "username": {name}, "password": {"any"}, "authenticator": {"test"}})
	if !strings.Contains(home, `id="mine"`) {
		t.Fatalf("after the login of %s there is no home page:\n%s", name, home)
	}
	return c
}

// read returns a page.
func read(t testing.TB, c *http.Client, method, at string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// getJSON reads an answer, with a token if there is one.
func getJSON(t testing.TB, at, token string, into any) (status int, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	return res.StatusCode, json.NewDecoder(res.Body).Decode(into)
}
