package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/checker"
)

// watcher has the checker of a test on a cluster look at everything as long as the test runs: at what the API says, at which run answers through the proxy, at the
// allocations in Nomad, and at the routes in Consul. What is away for a while is not seen for a while.
type watcher struct {
	history *checker.History
	api     apiClient // an administrator's
	public  string    // the hub's public address, without a trailing slash
	nomad   *nomad.Client
	consul  *consul.Client

	jobPrefix string // of the jobs of servers
	bindings  string // below which routes are in Consul's key-value store
	homes     string // the folder of homes, in which servers write by checker.Writer

	mu     sync.Mutex
	active map[checker.Server]bool // servers that may answer: true, or no longer since the last list: false
	looked struct{ lists, visits, allocations, routes atomic.Int64 }
}

const (
	lookEvery  = 200 * time.Millisecond
	visitEvery = 40 * time.Millisecond // some servers of these tests live for a second
	lookLong   = 5 * time.Second       // one look; what takes longer is away
)

// newHistory begins the history of a test whose servers are as the model says.
func newHistory(m checker.Model) *checker.History { return checker.New(checker.Options{Model: m}) }

// recorded is a script whose calls are in the history.
func (a apiClient) recorded(h *checker.History) apiClient {
	a.http = &http.Client{Transport: checker.Transport{History: h, Client: "script"}}
	return a
}

// clicks tells the history that a person asks for something in a browser, whose answer is a page. It must come before the click.
func clicks(h *checker.History, user string, kind checker.Kind) {
	h.Begin("browser", checker.Server{User: user}, kind).Lost("a page")
}

// watch looks until the test ends, and then judges.
func (w *watcher) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	for _, look := range []func(context.Context){w.list, w.allocations, w.routes} {
		all.Go(func() { again(ctx, lookEvery, look) })
	}
	all.Go(func() { again(ctx, visitEvery, w.visit) })
	t.Cleanup(func() {
		cancel()
		all.Wait()
		w.history.VerifyHomes(t, w.homes)
		w.history.Verify(t)
		l := &w.looked
		t.Logf("the checker has seen %d lists, %d answers of servers, %d times Nomad's allocations and %d times Consul's routes",
			l.lists.Load(), l.visits.Load(), l.allocations.Load(), l.routes.Load())
		if min(l.lists.Load(), l.visits.Load(), l.allocations.Load(), l.routes.Load()) == 0 {
			t.Error("the checker did not see everything")
		}
	})
}

// again looks again and again until ctx ends.
func again(ctx context.Context, every time.Duration, look func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, lookLong)
		look(one)
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// list reads what the API says of all servers.
func (w *watcher) list(ctx context.Context) {
	look := w.history.Look("list")
	got, err := w.api.ask(ctx, http.MethodGet, "/users?include_stopped_servers&limit=200", "")
	var users []struct {
		Name    string
		Servers map[string]json.RawMessage
	}
	if err != nil || got.status != http.StatusOK || json.Unmarshal([]byte(got.body), &users) != nil {
		return
	}
	w.looked.lists.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.active
	w.active = map[checker.Server]bool{}
	for _, u := range users {
		for name, text := range u.Servers {
			seen, ok := checker.APIServer(text)
			if !ok || seen.Phase == checker.Absent {
				continue
			}
			at := checker.Server{User: u.Name, Name: name}
			look.SawServer(at, seen)
			if seen.Phase != checker.Stopped {
				w.active[at] = true
			} else if before[at] {
				w.active[at] = false
			}
		}
	}
}

// visit asks each server that may answer, through the proxy, who it is.
func (w *watcher) visit(ctx context.Context) {
	w.mu.Lock()
	var servers []checker.Server
	for at := range w.active {
		if at.Name == "" {
			servers = append(servers, at)
		}
	}
	w.mu.Unlock()
	for _, at := range servers {
		look := w.history.Look("visitor")
		if run, err := whoAnswers(ctx, w.public, at.User); err == nil {
			w.looked.visits.Add(1)
			look.SawVisit(at, run)
		}
	}
}

// whoAnswers asks the default server of a user. What the hub answers in its place is an error.
func whoAnswers(ctx context.Context, base, user string) (checker.Run, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+userPath(user)+"api/status", nil)
	if err != nil {
		return checker.Run{}, err
	}
	res, err := http.DefaultTransport.RoundTrip(req) // it follows nobody elsewhere
	if err != nil {
		return checker.Run{}, err
	}
	_ = res.Body.Close()
	return checker.ParseRun(res.Header.Get(checker.WriterHeader))
}

// allocations reads which may run.
func (w *watcher) allocations(ctx context.Context) {
	allocs, _, err := w.nomad.Allocations().List(notebooks().WithContext(ctx))
	if err != nil {
		return
	}
	w.looked.allocations.Add(1)
	live := map[string][]string{}
	for _, a := range allocs {
		server, ours := strings.CutPrefix(a.JobID, w.jobPrefix)
		if !ours {
			continue
		}
		placed := a.ClientStatus == nomad.AllocClientStatusPending && a.DesiredStatus == nomad.AllocDesiredStatusRun
		if placed || a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusUnknown {
			live[server] = append(live[server], a.ID)
		}
	}
	w.history.SawAllocations(live)
}

// routes reads the bindings.
func (w *watcher) routes(ctx context.Context) {
	pairs, _, err := w.consul.KV().List(w.bindings, (&consul.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return
	}
	w.looked.routes.Add(1)
	routes := map[string]int64{}
	for _, pair := range pairs {
		var sealed struct {
			Binding struct {
				Server     string
				Generation int64
			}
		}
		if json.Unmarshal(pair.Value, &sealed) == nil && sealed.Binding.Server != "" {
			routes[sealed.Binding.Server] = sealed.Binding.Generation
		}
	}
	w.history.SawRoutes(routes)
}

// underWriter is how a notebook is run by its jobspec's variables so that it writes into its home who it is: the program, and the beginning of its arguments.
func underWriter(t testing.TB, dir string) (command string, args []string) {
	t.Helper()
	program := filepath.Join(dir, "writer.py")
	if err := os.WriteFile(program, []byte(checker.Writer), 0o644); err != nil { //nolint:gosec // other accounts run it
		t.Fatal(err)
	}
	return python(t), []string{program}
}

// openDir is a folder of the test that every account may pass through.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nomadhub-checker-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what it is for
		t.Fatal(err)
	}
	return dir
}

// checkedMachine is [onThisMachine] with servers that write into their homes, as the checker needs it.
func checkedMachine(t testing.TB) runsNotebooks {
	t.Helper()
	how := onThisMachine(t)
	plain := how.variables
	how.variables = func(c *cluster) map[string]string {
		v := plain(c)
		command, args := underWriter(t, c.Dir)
		text, err := json.Marshal(append(args, "jupyterhub-singleuser"))
		if err != nil {
			t.Fatal(err)
		}
		v["command"], v["args"] = command, string(text)
		return v
	}
	return how
}

// watched has the checker look at the cluster, and returns a script whose calls are recorded.
func (c *cluster) watched(t *testing.T, h *checker.History, a apiClient) apiClient {
	t.Helper()
	(&watcher{
		history: h, api: a, public: c.URL, nomad: c.Nomad.Client, consul: c.Consul.Client,
		jobPrefix: "notebook-", bindings: "nomadhub/bindings/", homes: filepath.Join(c.Dir, "home"),
	}).watch(t)
	return a.recorded(h)
}

// watched has the checker look at what the hub does.
func (c *child) watched(t *testing.T) {
	t.Helper()
	(&watcher{
		history: c.history, api: c.apiClient, public: c.URL, nomad: c.shared.Nomad.Client, consul: c.shared.Consul.Client,
		jobPrefix: c.jobPrefix(), bindings: c.consulPrefix() + "/bindings/", homes: c.homes,
	}).watch(t)
	c.apiClient = c.recorded(c.history)
}

// check has the checker judge what the hub does, from its begin on. Its servers have homes that outlive them, in which they write.
func (c *child) check(t *testing.T, m checker.Model) {
	t.Helper()
	_, account := accounts(t)
	dir := openDir(t)
	c.history, c.homes = newHistory(m), homes(t, dir, account)
	c.program, c.arguments = underWriter(t, dir)
}
