package main

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// These are the parts of the measurements that cannot depend on the machine: what is counted, and how it grows. They run with "make test".

const testPatience = 2 * time.Minute

func openFakeHub(t *testing.T, users int) (*fakeHub, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	t.Cleanup(cancel)
	f, err := newFakeHub(ctx, t.TempDir(), users)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f, ctx
}

// startMany starts the servers of the users from first to last at once and waits until they are ready.
func startMany(ctx context.Context, t *testing.T, f *fakeHub, first, last int) {
	t.Helper()
	if err := f.askAll(ctx, http.MethodPost, first, last); err != nil {
		t.Fatal(err)
	}
	if err := awaitState(ctx, f.db, hub.Ready, last); err != nil {
		t.Fatal(err)
	}
}

// TestManyAtOnce asks for all servers in the same instant: all are accepted, none is lost, none is started twice; and all can be stopped so.
func TestManyAtOnce(t *testing.T) {
	const servers = 200
	f, ctx := openFakeHub(t, servers)
	startMany(ctx, t, f, 0, servers)
	if err := f.startedOnce(ctx, servers); err != nil {
		t.Error(err)
	}
	if err := f.startedOnce(ctx, servers-1); err == nil {
		t.Error("a server too many was not noticed")
	}
	if err := f.askAll(ctx, http.MethodDelete, 0, servers); err != nil {
		t.Fatal(err)
	}
	if err := awaitState(ctx, f.db, hub.Stopped, servers); err != nil {
		t.Fatal(err)
	}
}

// cost is what one start or stop costs.
type cost struct {
	calls       map[string]float64
	allocations float64
}

// sample is how many starts are looked at.
const sample = 20

// startSome starts the servers of users from first on, one after the other, and says what each took.
func startSome(ctx context.Context, t *testing.T, f *fakeHub, first int) cost {
	t.Helper()
	return costOf(ctx, t, f, first, hub.Ready, func(user string) (hub.Server, error) { return f.hub.StartServer(ctx, user, "", nil) })
}

// stopSome stops them.
func stopSome(ctx context.Context, t *testing.T, f *fakeHub, first int) cost {
	t.Helper()
	return costOf(ctx, t, f, first, hub.Stopped, func(user string) (hub.Server, error) { return f.hub.StopServer(ctx, user, "", false) })
}

func costOf(ctx context.Context, t *testing.T, f *fakeHub, first int, want hub.ServerState, ask func(user string) (hub.Server, error)) cost {
	t.Helper()
	f.counted.counts.take()
	f.asked.counts.take()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range sample {
		s, err := ask(userName(first + i))
		if err != nil {
			t.Fatal(err)
		}
		if s, err = f.hub.AwaitSeen(ctx, s, func(s hub.Server) bool { return s.State == want }); err != nil {
			t.Fatalf("the server of %s is %s: %v", s.UserName, s.State, err)
		}
	}
	runtime.ReadMemStats(&after)
	p := cost{calls: map[string]float64{}, allocations: float64(after.Mallocs-before.Mallocs) / sample}
	for _, taken := range []map[string]int{f.counted.counts.take(), f.asked.counts.take()} {
		for call, times := range taken {
			p.calls[call] += float64(times) / sample
		}
	}
	return p
}

// slack is for calls that are not made but where something comes between.
const slack = 2

// expect fails for calls that were made more often than that, or that are not among these.
func expect(t *testing.T, what string, c cost, most map[string]float64) {
	t.Helper()
	most["ServerBriefs"], most["Servers"], most["rows of Servers"], most["List"], most["UsageTouched"] = slack, slack, slack, slack, slack // of the sweep beside it
	for call, got := range c.calls {
		if limit := most[call]; got > limit {
			t.Errorf("%s was called %.1f times for %s, more than %.0f", call, got, what, limit)
		}
	}
}

// TestAStartCostsTheSame starts servers while few and while many run: a start makes no more calls then, and few more allocations. It shares the process's
// count of allocations with nobody, so it is not parallel.
func TestAStartCostsTheSame(t *testing.T) {
	const few, many = 10, 400
	f, ctx := openFakeHub(t, few+sample+many+sample)
	startMany(ctx, t, f, 0, few)
	small := startSome(ctx, t, f, few)
	startMany(ctx, t, f, few+sample, few+sample+many)
	large := startSome(ctx, t, f, few+sample+many)
	t.Logf("with %d servers: %v; with %d: %v", few, small, few+sample+many, large)

	// Where waits look again on a slow machine there may be more of what has room here; what is counted exactly can be neither more nor less.
	expect(t, "a start", large, map[string]float64{
		"Exclusive": 1, "CountStarts": 1, "CreateServer": 1, "UserByName": 1, "ServerByName": 1, // the request and its admission
		"InTx": 1, "CreateToken": 1, "PutClient": 1, "Revisions": 1 + slack, // the token
		"UpdateServer": 2, "UpdateServerAndOpenRun": 1, "OpenRun": slack, "ServerByID": slack, "Start": 1, "Status": 8,
	})
	stop := stopSome(ctx, t, f, few)
	t.Logf("a stop: %v", stop)
	expect(t, "a stop", stop, map[string]float64{
		"UserByName": 1, "ServerByName": 1, "UpdateServer": 2, "InTx": 1, "CloseRunsOf": 1, "DeleteTokensOfServer": 1, "DeleteClientsOfServer": 1,
		"CloseRun": 1, "Revisions": slack, "ServerByID": slack, "Status": 4,
	})
	// Each change of the table of routes makes a new one of all routes, and each look at all servers reads all rows.
	const perServer = 15
	if growth := (large.allocations - small.allocations) / (many + sample); growth > perServer {
		t.Errorf("a start makes %.0f allocations while %d servers run, and %.0f while %d do: %.1f more for each", large.allocations, few+sample+many,
			small.allocations, few, growth)
	}
}
