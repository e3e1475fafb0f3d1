package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/store"
)

// hubProcess is the hub's own program on its core, with everything that it stands on.
type hubProcess struct {
	binary string
	dir    string
	dsn    string
	env    []string
	*child

	public, servers, metrics string // URLs
	token                    string // of an administrator
	store                    *store.Store
	client                   *http.Client
	profiles                 string
	users                    int // how many there are
}

// hubOptions say how the hub is set up.
type hubOptions struct {
	name     string // of its folder
	binary   string
	dsn      string // "": SQLite in the folder
	jobspec  string
	cluster  *cluster
	users    int
	logLevel string
	profiles string // folder for profiles; "": none are taken
	more     string // of the configuration
	requests int    // a second that each token may make; 0: any number, since all come with one token
}

const adminName = "bench"

// newHub prepares database, configuration and users; start starts it.
func newHub(ctx context.Context, o hubOptions) (*hubProcess, error) {
	h := &hubProcess{binary: o.binary, dir: filepath.Join(o.cluster.dir, o.name), dsn: o.dsn, profiles: o.profiles, users: o.users}
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return nil, err
	}
	if h.dsn == "" {
		h.dsn = "sqlite://" + filepath.Join(h.dir, "hub.db")
	}
	ports, err := freeport.Find(3)
	if err != nil {
		return nil, err
	}
	h.public, h.servers, h.metrics = "http://"+loopback(ports[0]), "http://"+loopback(ports[1]), "http://"+loopback(ports[2])
	h.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10_000, DisableCompression: true}}
	// What a task has that Nomad restarts in its place, so that the lease need not run out first.
	h.env = []string{"NOMAD_ALLOC_ID=" + uuid.NewString()}
	if err := h.writeConfig(o); err != nil {
		return nil, err
	}
	if h.store, err = store.Open(ctx, store.Options{DSN: h.dsn}); err != nil {
		return nil, err
	}
	if err := h.store.Migrate(ctx); err != nil {
		return nil, err
	}
	h.token, err = seed(ctx, h.store, o.users)
	return h, err
}

func (h *hubProcess) writeConfig(o hubOptions) error {
	jobspec := filepath.Join(h.dir, "notebook.nomad.hcl")
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	text := fmt.Sprintf(`
log { level = %q }
listen {
  public  = %q
  servers = %q
  metrics = %q
}
database { dsn = %q }
secrets { file = %q }
nomad {
  address    = %q
  jobspec    = %q
  job_prefix = %q
}
consul {
  address        = %q
  prefix         = %q
  service_prefix = %q
}
limits {
  concurrent_starts   = 1000000
  requests_per_second = %d
}
notebook {
  place_timeout  = "30m"
  answer_timeout = "10m"
}
login {
  allow_all   = true
  admin_users = [%q]
}
authenticator "dummy" "dummy" {}
%s
`, o.logLevel, host(h.public), host(h.servers), host(h.metrics), h.dsn, filepath.Join(h.dir, "secrets.json"),
		o.cluster.nomadAddress, jobspec, o.name+"-", o.cluster.consulAddress, o.name, o.name, o.requests, adminName, o.more)
	return errors.Join(os.WriteFile(jobspec, []byte(o.jobspec), 0o600), os.WriteFile(filepath.Join(h.dir, "hub.hcl"), []byte(text), 0o600))
}

func userName(i int) string { return fmt.Sprintf("user%07d", i) }

// launch starts the process and does not wait for it.
func (h *hubProcess) launch() (err error) {
	h.child, err = spawn(h.dir, program{
		name: "hub", core: coreUnderTest, path: h.binary, args: []string{"serve", "-config", filepath.Join(h.dir, "hub.hcl")}, env: h.env,
	})
	return err
}

// start starts the process and returns when it serves.
func (h *hubProcess) start(ctx context.Context) error {
	if err := h.launch(); err != nil {
		return err
	}
	return h.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, h.metrics+"/ready") })
}

// close ends the hub and lets go of its database.
func (h *hubProcess) close() {
	if h == nil {
		return
	}
	h.stop()
	_ = h.store.Close()
}

// call asks the API at that base URL.
func (h *hubProcess) call(ctx context.Context, base, method, path, body string) (status int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, base+"/hub/api"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "token "+h.token)
	res, err := h.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	return res.StatusCode, text, err
}

// count says how many servers are in a state. It asks the database and not the hub, whose time is measured.
func (h *hubProcess) count(ctx context.Context, state hub.ServerState) (int, error) {
	counts, err := h.store.CountServers(ctx)
	return counts[state], err
}

// awaitCount waits until so many servers are in the state.
func (h *hubProcess) awaitCount(ctx context.Context, state hub.ServerState, want int, patience time.Duration) error {
	return h.await(ctx, patience, func(ctx context.Context) error {
		n, err := h.count(ctx, state)
		if err == nil && n != want {
			err = fmt.Errorf("%d servers are %s, and %d should be", n, state, want)
		}
		return err
	})
}

// profiled is for how long a profile is taken.
const profiled = 20 * time.Second

// profile has the hub profile its processor time from now on, where that was asked for, and goes on meanwhile. The profile itself costs some percent.
func (h *hubProcess) profile(ctx context.Context, what string) {
	if h.profiles == "" {
		return
	}
	go func() {
		_ = h.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, h.metrics+"/health") })
		h.keepProfile(ctx, what, fmt.Sprintf("profile?seconds=%.0f", profiled.Seconds()))
	}()
}

// keepProfile asks the hub for one of its profiles, where that was asked for.
func (h *hubProcess) keepProfile(ctx context.Context, what, path string) {
	if h.profiles == "" {
		return
	}
	text, err := read(ctx, h.client, h.metrics+"/debug/pprof/"+path)
	if err == nil {
		err = os.WriteFile(filepath.Join(h.profiles, filepath.Base(h.dir)+"-"+what+".pprof"), text, 0o600)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "bench: no profile:", err)
	}
}

// read gets a page.
func read(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return text, err
}
