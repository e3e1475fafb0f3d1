package chp

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// call is one request, whose answer has this status and text.
func call(t *testing.T, method, at, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(all)
}

// named is a server that tells its name, and what it was asked for.
func named(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.Host+r.URL.RequestURI())
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func target(url string) string { return `{"target": "` + url + `", "jupyterhub": true, "user": "ada"}` }

func TestForwardsToTheLongestPath(t *testing.T) {
	t.Parallel()
	table := &Table{}
	api, public := httptest.NewServer(table), httptest.NewServer(table.Forward())
	t.Cleanup(api.Close)
	t.Cleanup(public.Close)
	host := strings.TrimPrefix(public.URL, "http://")

	if status, _ := call(t, http.MethodGet, public.URL+"/hub/", ""); status != http.StatusBadGateway {
		t.Errorf("without a route the answer is %d", status)
	}
	for path, name := range map[string]string{"/": "hub", "/user/ada": "ada", "/user/ada/lab/": "lab", "/user/joe%20b": "joe"} {
		if status, _ := call(t, http.MethodPost, api.URL+root+path, target(named(t, name))); status != http.StatusCreated {
			t.Errorf("adding %s answers %d", path, status)
		}
	}
	for path, want := range map[string]string{
		"/": "hub", "/hub/home?a=%20": "hub", "/user/ada": "ada", "/user/ada/": "ada", "/user/ada/labs": "ada", "/user/ada/lab/tree/a%2Fb": "lab", "/user/adam/": "hub",
		"/user/joe%20b/x": "joe",
	} {
		if _, text := call(t, http.MethodGet, public.URL+path, ""); text != want+" "+host+path {
			t.Errorf("%s is answered by %q", path, text)
		}
	}
	if n := table.Below("/user/"); n != 3 {
		t.Errorf("%d routes are users'", n)
	}
	table.Clear()
	if n := table.Below("/"); n != 0 {
		t.Errorf("%d routes are left", n)
	}
}

func TestRoutesAreKeptAsTold(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(&Table{})
	t.Cleanup(api.Close)
	at := api.URL + root
	for _, bad := range []string{"", "{", "[1]", `{"target": 1}`, `{"target": "x"}`, `{}`} {
		if status, _ := call(t, http.MethodPost, at+"/user/ada", bad); status != http.StatusBadRequest {
			t.Errorf("a route of %q is answered with %d", bad, status)
		}
	}
	call(t, http.MethodPost, at+"/user/ada", target("http://127.0.0.1:1"))
	call(t, http.MethodPost, at+"/user/ada", target("http://127.0.0.1:2"))
	var all map[string]struct {
		Target, User string
		JupyterHub   bool
	}
	if _, text := call(t, http.MethodGet, at, ""); json.Unmarshal([]byte(text), &all) != nil || len(all) != 1 {
		t.Errorf("the routes are %s", text)
	}
	if r := all["/user/ada"]; r.Target != "http://127.0.0.1:2" || r.User != "ada" || !r.JupyterHub {
		t.Errorf("the route is %+v", r)
	}
	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if status, _ := call(t, http.MethodDelete, at+"/user/ada", ""); status != want {
			t.Errorf("removing it answers %d, not %d", status, want)
		}
	}
	if status, _ := call(t, http.MethodPut, at+"/user/ada", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("PUT answers %d", status)
	}
	if status, _ := call(t, http.MethodGet, api.URL+"/else", ""); status != http.StatusNotFound {
		t.Errorf("another path answers %d", status)
	}
}
