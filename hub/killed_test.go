package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/checker/hubcalls"
	"github.com/nomadhub/nomadhub/internal/hubtest/wire"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/store"
)

// doomed is what somebody asks of a hub that dies at one of the points, and what the next hub has to make of it.
type doomed struct {
	points   []string
	settings string
	fails    bool // a server ends without anybody's wish
	// before is asked of another hub, which is ended orderly; nil: nothing. From then on there are other settings.
	before func(k *killed)
	later  string
	// ask ends with the hub's death; after looks at the next one.
	ask, after func(k *killed)
}

// lives are all points at which a hub can be killed, by what it does there.
func lives() []doomed {
	start := func(k *killed) { k.try("start", "ada", small) }
	ready := func(k *killed) {
		k.try("start", "ada", small)
		k.id = k.is("ada", hub.Ready, 1).ID
	}
	return []doomed{
		{points: []string{"start.before-row", "start.before-admission"}, ask: start, after: func(k *killed) {
			k.is("ada", hub.Stopped, 0) // nothing was promised
			k.nothingLeft(0)
			k.start()
			k.do("start", "ada", small)
			k.is("ada", hub.Ready, 1)
		}},
		{points: []string{
			"start.after-admission", "start.after-row", "start.before-volumes", "start.after-volumes", "start.before-register", "start.after-register",
			"start.before-ready", "start.after-ready", "usage.before-open", "usage.after-open",
		}, ask: start, after: func(k *killed) { k.is("ada", hub.Ready, 1) }},
		{
			points: []string{"stop.after-row", "stop.before-end", "stop.after-end", "stop.after-stopped", "usage.before-close"},
			ask:    func(k *killed) { ready(k); k.try("stop", "ada", "") },
			after: func(k *killed) {
				k.is("ada", hub.Stopped, 1)
				k.nothingLeft(1)
				k.start()
				k.do("start", "ada", small)
				k.is("ada", hub.Ready, 2)
			},
		},
		{
			points: []string{"usage.before-close"}, fails: true,
			ask: func(k *killed) { ready(k); k.world.Fake.Kill(k.id, "The server crashed.") },
			after: func(k *killed) {
				if a := k.is("ada", hub.Stopped, 1); a.Failure != "The server crashed." {
					k.t.Errorf("it ended with %q", a.Failure)
				}
			},
		},
		{
			points: []string{"restart.after-row", "restart.before-start", "restart.after-start"},
			ask:    func(k *killed) { ready(k); k.try("restart", "ada", large) },
			after: func(k *killed) {
				if a := k.is("ada", hub.Ready, 2); a.Profile != "large" {
					k.t.Errorf("the restart was with other options, and it runs %q", a.Profile)
				}
			},
		},
		{
			// Bob waits for a place; the hub that is killed finds room for him when it starts.
			points: []string{"queue.before-admission", "queue.after-admission"}, settings: `{"ActiveServers": 1}`, later: `{"ActiveServers": 2}`,
			before: func(k *killed) {
				ready(k)
				if a := k.do("queue", "bob", small); a.State != hub.Starting {
					k.t.Fatalf("bob's server is %+v", a)
				}
			},
			ask:   func(*killed) {},
			after: func(k *killed) { k.is("ada", hub.Ready, 1); k.is("bob", hub.Ready, 1) },
		},
		{
			points: []string{"cull.before-row", "cull.after-row"}, settings: `{"MaxAge": 1000000000}`, fails: true, ask: start,
			after: func(k *killed) {
				if a := k.is("ada", hub.Stopped, 1); !strings.Contains(a.Failure, "run for longer") {
					k.t.Errorf("it was stopped with %q", a.Failure)
				}
			},
		},
	}
}

const (
	small = `{"profile": "small"}`
	large = `{"profile": "large"}`
)

// TestF01F02_KilledAtEveryPoint kills a hub at each of its failpoints, as a machine that loses power would, and starts another on what it left. What was
// asked for comes to be or clearly does not, with one version of the job for each run; and when it is stopped, no job, token, route or volume is left
// over, and the ledger has each run once.
func TestF01F02_KilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	program := buildMortal(t)
	empty := filepath.Join(t.TempDir(), "empty.db")
	migrated(t, empty, "ada", "bob")
	var known []string
	for _, d := range lives() {
		for _, point := range d.points {
			known = append(known, point)
			t.Run(point, func(t *testing.T) {
				k := newKilled(t, program, empty, d.settings)
				k.history = checker.New(checker.Options{Model: checker.Model{Steady: !d.fails}})
				if d.before != nil {
					k.start()
					d.before(k)
					k.end(syscall.SIGTERM)
					k.settings = d.later
				}
				k.start("NOMADHUB_FAILPOINT=" + point)
				d.ask(k)
				k.awaitKilled()
				k.start()
				d.after(k)
				k.do("stop", "ada", "")
				k.await("ada", hub.Stopped)
				k.do("stop", "bob", "")
				k.await("bob", hub.Stopped)
				k.nothingLeft(-1)
				k.history.Verify(t)
			})
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if all := failpointsInSource(t); !slices.Equal(known, all) {
		t.Errorf("the hub can be killed at %v, and is killed here at %v", all, known)
	}
}

func failpointsInSource(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`failpoint\("([^"]+)"\)`).FindAllSubmatch(text, -1) {
			points = append(points, string(m[1]))
		}
	}
	slices.Sort(points)
	return slices.Compact(points)
}

// buildMortal makes the program of internal/hubtest/mortal in which points can be named.
func buildMortal(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mortal")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoints", "-o", program, "github.com/nomadhub/nomadhub/internal/hubtest/mortal")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// migrated makes a database with nothing but users, of which each hub gets a copy.
func migrated(t *testing.T, path string, users ...string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite://" + path})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Migrate(t.Context())
	for _, name := range users {
		err = errors.Join(err, db.CreateUser(t.Context(), hub.User{ID: "u-" + name, Name: name, Created: time.Now()}))
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// killed is a hub in a process of its own on a cluster that outlives it.
type killed struct {
	t        *testing.T
	program  string
	settings string
	dir      string // of database and socket
	world    *wire.World
	history  *checker.History
	placed   atomic.Int64 // runs that began
	id       string       // of the server that was last ready
	process
}

type process struct {
	cmd  *exec.Cmd
	gone chan struct{}
}

func newKilled(t *testing.T, program, empty, settings string) *killed {
	t.Helper()
	dir, err := os.MkdirTemp("", "kill-") // sockets have short names
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	text, err := os.ReadFile(empty)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hub.db"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "world"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	k := &killed{t: t, program: program, settings: settings, dir: dir}
	if k.world, err = wire.Serve(ctx, l); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		k.end(syscall.SIGKILL)
		cancel()
		k.world.Wait()
		running.Wait()
	})
	address := notebook(t)
	k.world.Fake.OnStart = func(s scheduler.Spec) {
		k.placed.Add(1)
		running.Go(func() { k.world.Fake.Place(s.ID, address); k.world.Fake.Run(s.ID) })
	}
	return k
}

func (k *killed) dsn() string { return "sqlite://" + filepath.Join(k.dir, "hub.db") }

// start starts a hub on what the last one left.
func (k *killed) start(env ...string) {
	k.t.Helper()
	args := []string{filepath.Join(k.dir, "world"), k.dsn()}
	if k.settings != "" {
		args = append(args, k.settings)
	}
	cmd := exec.CommandContext(context.WithoutCancel(k.t.Context()), k.program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = k.t.Output(), k.t.Output()
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	gone := make(chan struct{})
	k.process = process{cmd, gone}
	go func() { _ = cmd.Wait(); close(gone) }()
}

// end ends the hub, if it runs, and waits for that.
func (k *killed) end(how syscall.Signal) {
	if k.cmd == nil {
		return
	}
	_ = k.cmd.Process.Signal(how)
	<-k.gone
}

func (k *killed) awaitKilled() {
	k.t.Helper()
	awaitClosed(k.t, k.gone, "the hub to die")
	if how, ok := k.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || how.Signal() != syscall.SIGKILL {
		k.t.Fatalf("the hub was not killed at the point: %s", k.cmd.ProcessState)
	}
}

func (k *killed) send(c wire.Command) (wire.Answer, error) {
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*long)
	defer cancel()
	call := k.history.Begin("test", checker.Server{User: c.User, Name: c.Server}, kindOf(c.Op))
	a, err := k.world.Do(ctx, k.cmd.Process.Pid, c, k.gone)
	if err != nil || a.Error != "" {
		call.Lost(fmt.Sprint(a.Error, err))
		return a, err
	}
	seen := hub.Server{ID: a.ID, State: a.State, Generation: a.Generation}
	if a.Failure != "" {
		seen.Failure = &hub.Failure{Message: a.Failure}
	}
	call.End(checker.Answer{Verdict: checker.Accepted, Seen: hubcalls.Seen(seen)})
	return a, nil
}

// kindOf is what a command asks for.
func kindOf(op string) checker.Kind {
	switch op {
	case "start", "queue":
		return checker.Start
	case "restart":
		return checker.Restart
	case "stop":
		return checker.Stop
	}
	return checker.Read
}

// do asks for what has to work.
func (k *killed) do(op, user, options string) wire.Answer {
	k.t.Helper()
	a, err := k.send(wire.Command{Op: op, User: user, Options: options})
	if err != nil || a.Error != "" {
		k.t.Fatalf("%s of %s: %+v, %v", op, user, a, err)
	}
	return a
}

// try asks for what the hub may die of.
func (k *killed) try(op, user, options string) {
	k.t.Helper()
	if a, err := k.send(wire.Command{Op: op, User: user, Options: options}); err != nil && !errors.Is(err, wire.ErrGone) || a.Error != "" {
		k.t.Fatalf("%s of %s: %+v, %v", op, user, a, err)
	}
}

func (k *killed) await(user string, state hub.ServerState) wire.Answer {
	k.t.Helper()
	a, err := k.send(wire.Command{Op: "await", User: user, State: state})
	if errors.Is(err, wire.ErrGone) { // it died once it was there
		return wire.Answer{State: state, Generation: -1}
	}
	if err != nil || a.Error != "" || a.State != state {
		k.t.Fatalf("the server of %s should be %s: %+v, %v", user, state, a, err)
	}
	return a
}

// is waits for a state, and looks how many runs and versions of the job there were.
func (k *killed) is(user string, state hub.ServerState, generation int64) wire.Answer {
	k.t.Helper()
	a := k.await(user, state)
	if a.Generation < 0 {
		return a
	}
	if versions := k.world.Fake.Starts(a.ID); a.Generation != generation || int64(versions) != generation {
		k.t.Fatalf("the server of %s is %s in generation %d with %d versions of its job; it should be %d of each", user, state, a.Generation, versions, generation)
	}
	return a
}

// nothingLeft ends the hub, and looks at what is left of servers that are all stopped. So many volumes there are; -1: one for each user whose
// server ran.
func (k *killed) nothingLeft(volumes int) {
	k.t.Helper()
	k.end(syscall.SIGTERM)
	if !k.cmd.ProcessState.Success() {
		k.t.Errorf("the hub ended with %s", k.cmd.ProcessState)
	}
	db, err := store.Open(k.t.Context(), store.Options{DSN: k.dsn()})
	if err != nil {
		k.t.Fatal(err)
	}
	running, err := k.world.Fake.List(k.t.Context())
	if err != nil || len(running) > 0 || len(k.world.Routes()) > 0 {
		k.t.Errorf("jobs are left over: %+v, routes: %+v, %v", running, k.world.Routes(), err)
	}
	servers, _, err := db.Servers(k.t.Context(), hub.ServerQuery{})
	if err != nil {
		k.t.Error(err)
	}
	owners := map[string]bool{}
	for _, s := range servers {
		owners[s.UserID] = true
		if s.State != hub.Stopped || s.Instance != "" || s.Restart != nil {
			k.t.Errorf("a server is left as %+v", s)
		}
		tokens, err := db.Tokens(k.t.Context(), s.UserID)
		if err != nil || len(tokens) > 0 {
			k.t.Errorf("tokens are left: %+v, %v", tokens, err)
		}
	}
	if volumes < 0 {
		volumes = len(owners)
	}
	k.volumesAre(db, volumes)
	k.ledgerIsExact(db, servers)
	if err := db.Close(); err != nil {
		k.t.Error(err)
	}
}

func (k *killed) volumesAre(db *store.Store, want int) {
	k.t.Helper()
	made, err1 := k.world.Fake.Volumes(k.t.Context())
	rows, _, err2 := db.Volumes(k.t.Context(), hub.VolumeQuery{})
	if err := errors.Join(err1, err2); err != nil || len(made) != want || len(rows) != want {
		k.t.Errorf("the cluster has the volumes %+v and the hub knows %+v, %v; there should be %d", made, rows, err, want)
	}
}

// ledgerIsExact looks whether each run that there was is in the ledger once, with its end, and none before the one before it had ended.
func (k *killed) ledgerIsExact(db *store.Store, servers []hub.Server) {
	k.t.Helper()
	now := time.Now()
	runs, err := db.UsageRuns(k.t.Context(), hub.UsageQuery{From: now.Add(-time.Hour), To: now.Add(time.Hour)})
	if err != nil || int64(len(runs)) != k.placed.Load() {
		k.t.Errorf("of %d runs the ledger has %+v, %v", k.placed.Load(), runs, err)
	}
	for _, s := range servers {
		var before hub.UsageRun
		for generation := range s.Generation {
			i := slices.IndexFunc(runs, func(r hub.UsageRun) bool { return r.ServerID == s.ID && r.Generation == generation+1 })
			if i < 0 {
				k.t.Errorf("run %d of %s is not in the ledger", generation+1, s.UserName)
				continue
			}
			if r := runs[i]; r.Began.IsZero() || r.Ended.Before(r.Began) || r.Began.Before(before.Ended) {
				k.t.Errorf("the ledger has %+v after %+v", r, before)
			}
			before = runs[i]
		}
	}
}
