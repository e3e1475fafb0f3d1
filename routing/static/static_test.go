package static_test

import (
	"iter"
	"testing"

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
