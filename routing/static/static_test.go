package static_test

import (
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
	"github.com/nomadhub/nomadhub/routing/static"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	routingtest.TestRegistry(t, func(*testing.T) routingtest.Backing { return routingtest.Backing{Registry: static.New()} })
}

func TestFixedYieldsOnceAndStays(t *testing.T) {
	t.Parallel()
	want := []routing.Route{{Prefix: "/services/x/", Address: "127.0.0.1:1"}}
	next, stop := iter.Pull2(static.Fixed(want).Routes(t.Context()))
	defer stop()
	got, err, ok := next()
	if diff := cmp.Diff(want, got); diff != "" || err != nil || !ok {
		t.Error(diff, err, ok)
	}
}

// TestMarksAreForgotten holds that a withdrawal is remembered for an hour, also while others come, and not for ever.
func TestMarksAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, b, other := static.New(), routingtest.NewBinding("a", 1), routingtest.NewBinding("b", 2)
		publish := func(b routing.Binding) {
			t.Helper()
			if err := r.Publish(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		withdraw := func(b routing.Binding) {
			t.Helper()
			if err := r.Withdraw(t.Context(), b.Server, b.Generation); err != nil {
				t.Fatal(err)
			}
		}
		routes := func() int {
			next, stop := iter.Pull2(r.Routes(t.Context()))
			defer stop()
			routes, _, _ := next()
			return len(routes)
		}
		publish(b)
		withdraw(b)
		for range 5 { // the other one goes again and again
			time.Sleep(15 * time.Minute)
			if publish(b); routes() != 0 {
				t.Fatalf("after %d withdrawals of another, what was withdrawn is back", other.Generation)
			}
			other.Generation++
			publish(other)
			withdraw(other)
		}
		if publish(b); routes() != 1 {
			t.Error("the withdrawal is remembered for more than an hour")
		}
	})
}
