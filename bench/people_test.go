package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/internal/freeport"
)

// openWholeHub opens a hub with pages, and starts servers for the first of its users.
func openWholeHub(t *testing.T, users, running int) (*fakeHub, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFake(ctx, fakeOptions{dir: t.TempDir(), users: users, port: ports[0], whole: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	startMany(ctx, t, f, 0, running)
	return f, ctx
}

// inProcess is a hub in the test's own process, all of whose users have a server.
type inProcess struct{ *fakeHub }

func (inProcess) process() *child {
	self, _ := os.FindProcess(os.Getpid()) // never fails where Linux is
	return &child{cmd: &exec.Cmd{Process: self}}
}

func (inProcess) runAll(context.Context, int) error { return nil }

func (inProcess) startFirst(context.Context, int) error { return nil }

func (h inProcess) secretOf(_ context.Context, user string) (string, error) {
	s, _ := h.secrets.Load(user)
	return s.(string), nil //nolint:forcetypeassert // nothing else is kept there
}

func (h inProcess) countWrites(ctx context.Context) (writeCounter, error) {
	return countWrites(ctx, h.options.database())
}

// newTestRun is a run of two short rounds that remembers what was measured.
func newTestRun() *run {
	const rounds = 2
	return &run{settings: settings{rounds: rounds, asks: time.Second, window: time.Second}, recorder: &recorder{out: io.Discard}}
}

// measured fails unless something was measured of each of these in each round.
func (r *run) measured(t *testing.T, operation string, users int, names ...string) {
	t.Helper()
	keys, _ := r.keys()
	for _, name := range names {
		n := 0
		for _, k := range keys {
			if k.Operation != operation || k.Name != name || k.Size != users {
				continue
			}
			values, _ := r.values(k, ours)
			n += len(values)
			for _, v := range values {
				if v < 0 {
					t.Errorf("%s %s is %g", operation, name, v)
				}
			}
		}
		if n != r.rounds {
			t.Errorf("%s %s was measured %d times in %d rounds", operation, name, n, r.rounds)
		}
	}
}

// TestPeople logs users in and has them come to their servers, as O7 and O8 do. Each step is checked where it is made, so that what fails is an error.
func TestPeople(t *testing.T) {
	const users = 10
	f, ctx := openWholeHub(t, users, users)
	r, at := newTestRun(), newSite(f.public, f.url)
	hubs := []subject{{underTest: inProcess{f}, whose: ours, database: "sqlite", users: users, public: f.public, url: f.url, token: f.token}}
	if err := r.login(ctx, hubs); err != nil {
		t.Fatal(err)
	}
	if err := r.visit(ctx, hubs); err != nil {
		t.Fatal(err)
	}
	r.measured(t, "O7", users, "first_login_cpu", "first_login_rate", "first_login_p99", "login_cpu", "login_rate", "login_p99")
	r.measured(t, "O8", users, "visit_cpu", "visit_rate", "visit_p99")

	somebody, err := at.login(ctx, userName(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := somebody.enter(ctx, "no secret of theirs"); err == nil {
		t.Error("a visit with a wrong secret is no error")
	}
	somebody.name = userName(1)
	right, _ := hubs[0].secretOf(ctx, userName(1))
	if err := somebody.enter(ctx, right); err == nil {
		t.Error("a visit to somebody else's server is no error")
	}
}

// TestMixed has everything go on at once for two short rounds, as O17 does.
func TestMixed(t *testing.T) {
	const users, sockets = 200, 5             // so many that nobody's turn to start or stop comes twice
	f, ctx := openWholeHub(t, users, sockets) // at the first addresses
	startMany(ctx, t, f, sockets, users/2)
	servers, err := serveChats(ctx, sockets, f.options.port)
	if err != nil {
		t.Fatal(err)
	}
	defer servers.close()
	metrics, err := f.serve(ctx, httpd.NewScrape(f.metrics))
	if err != nil {
		t.Fatal(err)
	}
	r := newTestRun()
	m := newMix(newAsked(f.url+"/hub/api", f.token, os.Getpid()), newSite(f.public, f.url), metrics, users, r.window)
	if m.chats, err = openChats(ctx, f.public, sockets); err != nil {
		t.Fatal(err)
	}
	defer m.chats.close()
	x, err := m.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.firstError(); err != nil {
		t.Errorf("something failed: %v", err)
	}
	for name, s := range x.streams() {
		if len(s.took) == 0 && name != "stops" { // which come when servers have stayed
			t.Errorf("there were no %s", name)
		}
	}
	if err := r.mix(ctx, m, ours, "sqlite"); err != nil {
		t.Fatal(err)
	}
	r.measured(t, "O17", users, "token_check_p99", "longest_gap", "login_p99", "start_p99", "activity_p99", "cull_pass", "scrape", "message_p99", "cpu", "failed")
}

// TestLongestGap finds the longest time without an answer, before the first one too.
func TestLongestGap(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	s := &stream{}
	for _, after := range []time.Duration{5 * time.Second, 2 * time.Second, 3 * time.Second} { // answers do not come in the order of requests
		s.at = append(s.at, began.Add(after))
	}
	if got := s.longestGap(began); got != 2*time.Second {
		t.Errorf("the longest gap is %s", got)
	}
	if got := s.longestGap(began.Add(-9 * time.Second)); got != 11*time.Second {
		t.Errorf("the longest gap is %s, with the time before the first answer", got)
	}
}
