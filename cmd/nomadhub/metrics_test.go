package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// newAdmin is ada as an administrator at a hub that runs.
func newAdmin(t *testing.T) client {
	t.Helper()
	return newAdminWith(t, "")
}

// newAdminWith is ada as an administrator at a hub with this configuration, where there is also bob.
func newAdminWith(t *testing.T, configuration string) client {
	t.Helper()
	dir := t.TempDir()
	dsn := "sqlite://" + filepath.Join(dir, "hub.db")
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	for _, u := range []hub.User{{ID: "u1", Name: "ada", Admin: true}, {ID: "u2", Name: "bob"}} {
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c := client{t: t, configuration: write(t, "hub.hcl", configuration)}
	c.token = strings.TrimSpace(call(t, nil, "token", "-dsn", dsn, "-user", "ada").out)
	c.base = "http://" + dev(t, dir, c.configuration)
	return c
}

// scrape is a text of metrics: types by name, and values by series with sorted labels.
type scrape struct {
	types  map[string]string
	values map[string]string
}

func parseScrape(text string) scrape {
	s := scrape{map[string]string{}, map[string]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if about, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(about, " ")
			s.types[name] = kind
			continue
		}
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			s.values[canonical(line[:i])] = line[i+1:]
		}
	}
	return s
}

// canonical is a series with its labels in order and bounds of buckets as numbers are usually written.
func canonical(series string) string {
	name, labels, found := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	if !found {
		return series
	}
	all := strings.Split(labels, ",")
	for i, l := range all {
		if text, ok := strings.CutPrefix(l, "le="); ok {
			if v, err := strconv.ParseFloat(strings.Trim(text, `"`), 64); err == nil {
				all[i] = `le="` + strconv.FormatFloat(v, 'g', -1, 64) + `"`
			}
		}
	}
	slices.Sort(all)
	return name + "{" + strings.Join(all, ",") + "}"
}

// TestMetricsAreJupyterHubs compares a scrape of a hub with what JupyterHub's own module exports: every name, type, label and bucket is there from the start.
func TestMetricsAreJupyterHubs(t *testing.T) {
	t.Parallel()
	c := newAdmin(t)
	if status, body := c.ask(http.MethodGet, "/hub/api/users/bob/server/progress", ""); status >= http.StatusInternalServerError {
		t.Fatalf("progress: %d %s", status, body)
	}
	var s scrape
	eventually(t, "the users are counted", func() bool {
		status, body := c.ask(http.MethodGet, "/hub/api/metrics", "")
		if status != http.StatusOK {
			t.Fatalf("metrics: %d %s", status, body)
		}
		s = parseScrape(body)
		return s.values["jupyterhub_total_users"] == "2" && s.values["jupyterhub_init_spawners_duration_seconds_count"] == "1" &&
			s.values["jupyterhub_event_loop_interval_seconds_count"] != "0"
	})
	text, err := os.ReadFile(filepath.Join("testdata", "jupyterhub-5.5-metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	metrics, series := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if name, kind, isMetric := strings.Cut(line, " "); isMetric && !strings.Contains(line, "{") {
			metrics++
			if s.types[name] != kind {
				t.Errorf("%s is a %q, want a %s", name, s.types[name], kind)
			}
			continue
		}
		series++
		if _, ok := s.values[canonical(line)]; !ok {
			t.Errorf("there is no %s", line)
		}
	}
	if metrics < 14 || series < 200 {
		t.Errorf("the reference has %d metrics and %d series; it is broken", metrics, series)
	}
	for name, kind := range map[string]string{ // of JupyterHub 6
		"jupyterhub_logout_duration_seconds": "histogram", "jupyterhub_csp_reports_total": "counter",
	} {
		if s.types[name] != kind {
			t.Errorf("%s is a %q, want a %s", name, s.types[name], kind)
		}
	}
	progress := false
	for series := range s.values {
		progress = progress || strings.HasPrefix(series, "jupyterhub_request_duration_seconds_count{") &&
			strings.Contains(series, `handler="jupyterhub.apihandlers.users.SpawnProgressAPIHandler",method="GET"`)
	}
	if !progress {
		t.Error("streams of progress are not measured under the name by which JupyterHub's dashboards leave them out")
	}
	if n := s.values["jupyterhub_hub_startup_duration_seconds_count"]; n != "1" {
		t.Errorf("the hub has started %q times", n)
	}
}

// TestMetricsNeedTheirScope: at both addresses, in JupyterHub's format; a user without the scope and a stranger are refused.
func TestMetricsNeedTheirScope(t *testing.T) {
	t.Parallel()
	c := newAdmin(t)
	for _, path := range []string{"/hub/metrics", "/hub/api/metrics"} {
		for token, want := range map[string]int{c.token: http.StatusOK, "": http.StatusForbidden, "unknown": http.StatusForbidden} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Accept", "application/openmetrics-text, */*")
			if token != "" {
				req.Header.Set("Authorization", "token "+token)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s with the token %q: status %d, want %d", path, token, res.StatusCode, want)
			}
			if kind := res.Header.Get("Content-Type"); want == http.StatusOK && !strings.HasPrefix(kind, "text/plain; version=0.0.4; charset=utf-8") {
				t.Errorf("%s is a %s", path, kind)
			}
		}
	}
	status, body := c.ask(http.MethodPost, "/hub/api/users/bob/tokens", "{}")
	if status != http.StatusCreated {
		t.Fatalf("no token for bob: %d %s", status, body)
	}
	_, rest, _ := strings.Cut(body, `"token":"`)
	c.token, _, _ = strings.Cut(rest, `"`)
	for _, path := range []string{"/hub/metrics", "/hub/api/metrics"} {
		if status, _ := c.ask(http.MethodGet, path, ""); status != http.StatusForbidden {
			t.Errorf("bob reads %s with status %d", path, status)
		}
	}
}
