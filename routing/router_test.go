package routing

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// script is a source that says what a test tells it to.
type script struct{ lines chan line }

type line struct {
	routes []Route
	err    error
	end    bool // ends the sequence, against the contract
}

func newScript() *script { return &script{lines: make(chan line)} }

func (s *script) Routes(ctx context.Context) iter.Seq2[[]Route, error] {
	return func(yield func([]Route, error) bool) {
		for {
			select {
			case l := <-s.lines:
				if l.end || !yield(l.routes, l.err) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// run starts a router in a bubble; everything that the scripts say has been worked on after synctest.Wait.
func run(t *testing.T, reg prometheus.Registerer, log *slog.Logger, sources ...NamedSource) *Router {
	t.Helper()
	r, err := NewRouter(RouterOptions{Sources: sources, Registerer: reg, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // ends before the bubble does
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestRouterIsReadyWhenEverySourceHasAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := newScript(), newScript()
		r := run(t, nil, quiet(), NamedSource{"first", first}, NamedSource{"second", second})
		first.lines <- line{routes: []Route{route("/user/a/", "a", 1)}}
		second.lines <- line{err: errors.New("away")}
		synctest.Wait()
		if r.Ready() {
			t.Fatal("ready although one source has not answered")
		}
		if r.Table().Len() != 1 {
			t.Error("the routes of the first source are not served meanwhile")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.WaitReady(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitReady = %v, want the context's error", err)
		}
		second.lines <- line{}
		if err := r.WaitReady(t.Context()); err != nil || !r.Ready() {
			t.Errorf("not ready after both have answered: %v", err)
		}
	})
}

func TestF14RouterKeepsTheLastGoodSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, reg := newScript(), prometheus.NewRegistry()
		r := run(t, reg, quiet(), NamedSource{"consul", source})
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1)}}
		synctest.Wait()
		if age := r.Status()[0].Age; age != 0 {
			t.Errorf("age of a fresh snapshot is %v", age)
		}
		away := errors.New("consul is away")
		source.lines <- line{err: away}
		time.Sleep(90 * time.Second) // of the bubble
		source.lines <- line{err: away}
		synctest.Wait()
		if _, ok := r.Table().Lookup("/user/a/lab"); !ok {
			t.Error("the route is gone")
		}
		status := r.Status()[0]
		if status.Age != 90*time.Second || !errors.Is(status.Err, away) || status.Routes != 1 {
			t.Errorf("status = %+v, want an age of 90 s and the error", status)
		}
		want := `
# HELP nomadhub_routing_table_age_seconds For how long the routes of a source have not been known to be right; 0 while they are.
# TYPE nomadhub_routing_table_age_seconds gauge
nomadhub_routing_table_age_seconds{source="consul"} 90
# HELP nomadhub_routing_table_routes Routes in the current table.
# TYPE nomadhub_routing_table_routes gauge
nomadhub_routing_table_routes 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "nomadhub_routing_table_age_seconds", "nomadhub_routing_table_routes"); err != nil {
			t.Error(err)
		}
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1)}}
		synctest.Wait()
		if s := r.Status()[0]; s.Age != 0 || s.Err != nil {
			t.Errorf("not healed: %+v", s)
		}
	})
}

func TestRouterStartsASourceAgainThatEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newScript()
		r := run(t, nil, quiet(), NamedSource{"s", source})
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1)}}
		source.lines <- line{end: true}
		synctest.Wait()
		if r.Table().Len() != 1 || r.Status()[0].Err == nil {
			t.Error("the routes are gone, or nothing says that the source has ended")
		}
		source.lines <- line{}
		synctest.Wait()
		if r.Table().Len() != 0 {
			t.Error("the source was not started again")
		}
	})
}

func TestAwaitRoute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newScript()
		r := run(t, nil, quiet(), NamedSource{"s", source})
		await := func(generation int64, instance string) chan error {
			done := make(chan error, 1)
			go func() { done <- r.AwaitRoute(t.Context(), "a", generation, instance) }()
			return done
		}
		first, other, second, anyRun := await(1, "a-run"), await(1, "other"), await(2, "b-run"), await(1, "")
		source.lines <- line{routes: []Route{route("/user/b/", "b", 1)}}
		synctest.Wait()
		if len(first)+len(other)+len(second)+len(anyRun) != 0 {
			t.Fatal("somebody was told of a route that is not there")
		}
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1)}}
		synctest.Wait()
		if len(first) != 1 || len(anyRun) != 1 || len(other)+len(second) != 0 {
			t.Fatal("the wrong ones were told")
		}
		newer := route("/user/a/", "a", 2)
		newer.Generation, newer.Instance = 2, "b-run"
		source.lines <- line{routes: []Route{newer}}
		if err := <-other; !errors.Is(err, ErrSuperseded) {
			t.Errorf("who waits for a replaced run got %v", err)
		}
		if err := errors.Join(<-first, <-anyRun, <-second); err != nil {
			t.Error(err)
		}
		gone := make(chan error, 1)
		go func() { gone <- r.AwaitNoRoute(t.Context(), "a", 2) }()
		if err := r.AwaitNoRoute(t.Context(), "a", 1); err != nil {
			t.Errorf("generation 1 is not routed: %v", err)
		}
		synctest.Wait()
		if len(gone) != 0 {
			t.Error("AwaitNoRoute returned while the route was there")
		}
		source.lines <- line{}
		if err := <-gone; err != nil {
			t.Error(err)
		}
	})
}

func TestF15AnUnchangedSnapshotSwapsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newScript()
		r := run(t, nil, quiet(), NamedSource{"s", source})
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1), route("/user/b/", "b", 2)}}
		synctest.Wait()
		before := r.Table()
		for range 10 {
			source.lines <- line{routes: []Route{route("/user/b/", "b", 2), route("/user/a/", "a", 1)}}
			synctest.Wait()
		}
		if r.Table() != before {
			t.Error("the table was replaced by an equal one")
		}
	})
}

func TestRouterLogsTheDifference(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		source := newScript()
		run(t, nil, slog.New(slog.NewJSONHandler(&out, nil)), NamedSource{"s", source})
		source.lines <- line{routes: []Route{route("/user/a/", "a", 1), route("/user/b/", "b", 2)}}
		synctest.Wait()
		out.Reset()
		source.lines <- line{routes: []Route{route("/user/a/", "a", 3), route("/user/c/", "c", 4)}}
		synctest.Wait()
		for _, want := range []string{
			`"added":["/user/a/ -> 10.0.0.1:20003 `, `"/user/c/ -> `, `"removed":["/user/a/ -> 10.0.0.1:20001 `, `"/user/b/ -> `, `"added_count":2`,
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log lacks %s: %s", want, out.String())
			}
		}
	})
}

func TestNewRouterRefuses(t *testing.T) {
	t.Parallel()
	for name, sources := range map[string][]NamedSource{
		"no source": nil, "nil source": {{"a", nil}}, "no name": {{"", newScript()}}, "the same name twice": {{"a", newScript()}, {"a", newScript()}},
	} {
		if _, err := NewRouter(RouterOptions{Sources: sources}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestBindingSuccession(t *testing.T) {
	t.Parallel()
	b := func(generation int64, placement uint64) Binding {
		return Binding{Server: "s", Prefix: "/p/", Address: "h:1", Generation: generation, Placement: placement}
	}
	mark, ok := b(3, 7).Withdraw(3)
	if diff := cmp.Diff(Binding{Server: "s", Generation: 3, Placement: 7}, mark); diff != "" || !ok || !mark.Withdrawn() {
		t.Fatal("mark:", diff)
	}
	for name, test := range map[string]struct {
		next, old Binding
		want      bool
	}{
		"newer generation":               {b(4, 1), b(3, 7), true},
		"older generation":               {b(2, 9), b(3, 7), false},
		"newer placement":                {b(3, 8), b(3, 7), true},
		"the same again":                 {b(3, 7), b(3, 7), true},
		"older placement":                {b(3, 6), b(3, 7), false},
		"withdrawn, the same":            {b(3, 7), mark, false},
		"withdrawn, placed again":        {b(3, 8), mark, true},
		"withdrawn, newer":               {b(4, 0), mark, true},
		"withdrawn, late and older gen.": {b(2, 9), mark, false},
	} {
		if got := test.next.MayReplace(test.old); got != test.want {
			t.Errorf("%s: MayReplace = %v", name, got)
		}
	}
	if _, ok := b(4, 1).Withdraw(3); ok {
		t.Error("an older generation withdrew a newer binding")
	}
	if _, ok := mark.Withdraw(3); ok {
		t.Error("a mark was withdrawn again")
	}
}

func TestShardIsStable(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]int{"0190a5c8-0000-7000-8000-000000000001": 6, "": 69, "a": 44} {
		if got := Shard(id); got != want || got < 0 || got >= Shards {
			t.Errorf("Shard(%q) = %d, want %d: registrations out there would be lost", id, got, want)
		}
	}
}
