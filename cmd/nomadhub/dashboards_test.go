package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/internal/deps"
	"github.com/nomadhub/nomadhub/internal/freeport"
)

// The pace at which the test's Prometheus looks, and what Grafana would make of it for $__rate_interval.
const (
	dashboardScrape = "2s"
	dashboardRate   = "8s"
)

// panel is a query of JupyterHub's dashboards about the hub itself, with its variables filled in: $hub stands for all, as it does by default.
type panel struct {
	title, query string
	labels       map[string]string // one series has these
	counts       bool              // and is above 0 once, since what the panel is about happens in this test
}

func dashboardPanels() []panel {
	const progress = "jupyterhub.apihandlers.users.SpawnProgressAPIHandler"
	requests := `jupyterhub_request_duration_seconds_bucket{app="jupyterhub", namespace=~".*", handler!="` + progress + `"}`
	spawns := `jupyterhub_server_spawn_duration_seconds_bucket{namespace=~".*"}`
	active := func(period string) string {
		return `max(jupyterhub_active_users{period="` + period + `", namespace=~".*"}) by (namespace)`
	}
	hub := map[string]string{"namespace": "hub"}
	return []panel{
		{"Running Servers", `max(jupyterhub_running_servers{namespace=~".*"}) by (namespace)`, hub, true},
		{"Daily Active Users", active("24h"), hub, false},
		{"Weekly Active Users", active("7d"), hub, false},
		{"Monthly Active Users", active("30d"), hub, false},
		{"Hub response latency", "sum by (le) (" + requests + " - " + requests + " offset " + dashboardRate + ")", map[string]string{"le": "+Inf"}, true},
		{
			"Hub response status codes", `sum(increase(jupyterhub_request_duration_seconds_count{app="jupyterhub", namespace=~".*",}[2m])) by (code)`,
			map[string]string{"code": "200"}, true,
		},
		{"Server Start Times", "sum by (le) (" + spawns + " - " + spawns + " offset " + dashboardRate + ")", map[string]string{"le": "+Inf"}, true},
		{
			"Server Start Failures", `sum(increase(jupyterhub_server_spawn_duration_seconds_count{status!="success", namespace=~".*"}[2m])) by (status)`,
			map[string]string{"status": "failure"}, true,
		},
	}
}

// TestJupyterHubsDashboards asks a real Prometheus, which looks at a hub with a token as operators set it up, all that JupyterHub's dashboards ask about the hub.
func TestJupyterHubsDashboards(t *testing.T) {
	t.Parallel()
	program, err := deps.FindPrometheus()
	if err != nil {
		if os.Getenv("NOMADHUB_TEST_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	c := newAdminWith(t, actAsNotebook(t))
	status, body := c.ask(http.MethodPost, "/hub/api/users/ada/tokens", `{"note": "Prometheus", "scopes": ["read:metrics"]}`)
	var made struct{ Token string }
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("no token for Prometheus: %d %s", status, body)
	}
	p := startPrometheus(t, program, strings.TrimPrefix(c.base, "http://"), made.Token)
	if status, body := c.ask(http.MethodPost, "/hub/api/users/ada/server", "{}"); status != http.StatusCreated && status != http.StatusAccepted {
		t.Fatalf("no server: %d %s", status, body)
	}
	begun := time.Now()
	deadline := begun.Add(3 * time.Minute)
	for missing := dashboardPanels(); len(missing) > 0; {
		c.startAndStop(t, "good", "broken") // again, as a panel looks only at the last seconds
		if time.Now().After(deadline) {
			t.Fatalf("nothing is shown by %+v", missing)
		}
		var still []panel
		for _, one := range missing {
			if !p.shows(t, one, begun) {
				still = append(still, one)
			}
		}
		missing = still
	}
}

// startAndStop has something to be counted: starts of servers and their ends.
func (c client) startAndStop(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		c.ask(http.MethodPost, "/hub/api/users/bob/servers/"+name, "{}") // the panels tell how it ended
	}
	for _, name := range names {
		eventually(t, name+" has started or failed, and is stopped", func() bool {
			status, _ := c.ask(http.MethodDelete, "/hub/api/users/bob/servers/"+name, "")
			return status == http.StatusNoContent || status == http.StatusNotFound
		})
	}
}

// prometheus is one that runs.
type prometheusServer struct{ base string }

// startPrometheus runs it until the test ends, and waits until it has looked at the hub.
func startPrometheus(t *testing.T, program, hub, token string) prometheusServer {
	t.Helper()
	dir := t.TempDir()
	secret := filepath.Join(dir, "token")
	if err := os.WriteFile(secret, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: %[1]s, scrape_timeout: %[1]s}
scrape_configs:
  - job_name: hub
    metrics_path: /hub/metrics
    authorization: {type: Bearer, credentials_file: %[2]s}
    static_configs: [{targets: [%[3]q], labels: {namespace: hub, app: jupyterhub}}]
`, dashboardScrape, secret, hub)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
	var log bytes.Buffer
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), //nolint:gosec // G204: found on this machine
		"--web.listen-address="+address, "--log.level=warn")
	cmd.Stdout, cmd.Stderr, cmd.Dir = &log, &log, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Logf("Prometheus says:\n%s", log.String())
		}
	})
	p := prometheusServer{"http://" + address}
	eventually(t, "Prometheus has looked at the hub", func() bool {
		series, err := p.ask("/api/v1/query", url.Values{"query": {`up{job="hub"}`}})
		return err == nil && len(series) == 1 && series[0].max() == 1
	})
	return p
}

// series is one line of a panel.
type series struct {
	Metric map[string]string
	Value  []any   // one point: a time and a number as text
	Values [][]any // or several
}

// max is the greatest number in it.
func (s series) max() float64 {
	greatest := -1.0
	for _, point := range append(s.Values, s.Value) {
		if len(point) != 2 {
			continue
		}
		text, _ := point[1].(string)
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			greatest = max(greatest, v)
		}
	}
	return greatest
}

func (p prometheusServer) ask(path string, query url.Values) ([]series, error) {
	const patience = time.Minute
	ask := http.Client{Timeout: patience}
	res, err := ask.Get(p.base + path + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var told struct {
		Error string
		Data  struct{ Result []series }
	}
	if err := json.NewDecoder(res.Body).Decode(&told); err != nil {
		return nil, err
	}
	if told.Error != "" {
		return nil, errors.New(told.Error)
	}
	return told.Data.Result, nil
}

// shows tells whether a panel that spans the time since begun has anything to show.
func (p prometheusServer) shows(t *testing.T, one panel, begun time.Time) bool {
	t.Helper()
	seconds := func(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
	found, err := p.ask("/api/v1/query_range", url.Values{"query": {one.query}, "start": {seconds(begun)}, "end": {seconds(time.Now())}, "step": {"1s"}})
	if err != nil {
		t.Fatalf("%s: %v", one.title, err)
	}
	for _, s := range found {
		fits := !one.counts || s.max() > 0
		for label, value := range one.labels {
			fits = fits && s.Metric[label] == value
		}
		if fits {
			return true
		}
	}
	return false
}

// notebookVariable has the test's own program act as the notebook that a hub starts.
const notebookVariable = "NOMADHUB_TEST_ACT_AS_NOTEBOOK"

// actAsNotebook is a configuration by which servers are this very program, and end with the hub. Those named broken fail at once.
func actAsNotebook(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("local {\n  command = [%q, \"-test.run=^TestActAsNotebook$\"]\n  stop_servers = true\n}\nnotebook {\n  env = { %s = \"1\" }\n}\n"+
		"limits {\n  named_servers = true\n}\n", program, notebookVariable)
}

// TestActAsNotebook is a notebook's server, when a hub of another test starts this program as one.
func TestActAsNotebook(t *testing.T) { //nolint:paralleltest // it is a program of its own
	if os.Getenv(notebookVariable) == "" {
		return // nothing to test
	}
	if strings.Contains(os.Getenv("JUPYTERHUB_SERVICE_PREFIX"), "/broken/") {
		t.Fatal("this one is broken")
	}
	at, err := url.Parse(os.Getenv("JUPYTERHUB_SERVICE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	const longest = 10 * time.Minute // also if nobody ends it
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	s := &http.Server{Addr: at.Host, ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
}
