package routing

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// partedScript says in parts what a test tells it to.
type partedScript struct{ lines chan partedLine }

type partedLine struct {
	parts []Part
	err   error
	end   bool
}

func (s *partedScript) Parts(ctx context.Context) iter.Seq2[[]Part, error] {
	return func(yield func([]Part, error) bool) {
		for {
			select {
			case l := <-s.lines:
				if l.end || !yield(l.parts, l.err) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (s *partedScript) Routes(ctx context.Context) iter.Seq2[[]Route, error] {
	return Whole(s.Parts(ctx))
}

func TestRouterFollowsTheParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, c := route("/user/a/", "a", 1), route("/user/b/", "b", 2), route("/user/c/", "c", 3)
		source := &partedScript{lines: make(chan partedLine)}
		r := run(t, nil, quiet(), NamedSource{"s", source})
		away := errors.New("away")
		for i, step := range []struct {
			line  partedLine
			want  []string
			ready bool
			err   error
		}{
			{line: partedLine{err: away}, err: away},
			{line: partedLine{parts: []Part{{1, []Route{a}}, {2, []Route{b}}, {3, nil}}}, want: []string{"a", "b"}, ready: true},
			{line: partedLine{parts: []Part{{3, []Route{c}}}}, want: []string{"a", "b", "c"}, ready: true},
			{line: partedLine{parts: []Part{{2, nil}}, err: away}, want: []string{"a", "c"}, ready: true, err: away},
			{line: partedLine{err: away}, want: []string{"a", "c"}, ready: true, err: away},
			{line: partedLine{parts: []Part{}}, want: []string{"a", "c"}, ready: true},
			{line: partedLine{end: true}, want: []string{"a", "c"}, ready: true, err: errSourceEnded},
			// The first of a new reading is whole: part 1 is empty now.
			{line: partedLine{parts: []Part{{3, []Route{c}}, {2, []Route{b}}}}, want: []string{"b", "c"}, ready: true},
		} {
			source.lines <- step.line
			synctest.Wait()
			var got []string
			for route := range r.Table().All() {
				got = append(got, route.Server)
			}
			if diff := cmp.Diff(step.want, got); diff != "" || r.Ready() != step.ready {
				t.Errorf("step %d: ready %v, %s", i, r.Ready(), diff)
			}
			if s := r.Status()[0]; s.Routes != len(step.want) || !errors.Is(s.Err, step.err) {
				t.Errorf("step %d: status %+v", i, s)
			}
			time.Sleep(2 * time.Second) // of the bubble: a source that ended is started again
		}
	})
}

func TestWholePutsPartsTogether(t *testing.T) {
	t.Parallel()
	a, b, away := route("/user/a/", "a", 1), route("/user/b/", "b", 2), errors.New("away")
	parts := func(yield func([]Part, error) bool) {
		_ = yield(nil, away) && yield([]Part{{1, []Route{a}}}, nil) && yield([]Part{{2, []Route{b}}}, nil) && yield([]Part{{1, nil}}, away)
	}
	var got [][]Route
	errs := 0
	for routes, err := range Whole(parts) {
		got = append(got, NewTable(routes).list())
		if routes == nil != (len(got) == 1) {
			t.Errorf("snapshot %d is nil: %v", len(got), routes == nil)
		}
		if err != nil {
			errs++
		}
	}
	if diff := cmp.Diff([][]Route{nil, {a}, {a, b}, {b}}, got); diff != "" || errs != 2 {
		t.Error(errs, diff)
	}
}

func (t *Table) list() (routes []Route) {
	for r := range t.All() {
		routes = append(routes, r)
	}
	return routes
}
