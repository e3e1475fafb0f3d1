package static_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
)

func TestListTellsWholeSnapshots(t *testing.T) {
	t.Parallel()
	l := static.NewList()
	ctx, cancel := context.WithCancel(t.Context())
	snapshots := make(chan []routing.Route)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for routes, err := range l.Routes(ctx) {
			if err != nil {
				t.Error(err)
			}
			snapshots <- routes
		}
	}()
	one := routing.Route{Prefix: "/services/one/", Address: "10.0.0.5:1", Server: "service:one", Generation: 1}
	two := routing.Route{Prefix: "/services/two/", Address: "10.0.0.5:2", Server: "service:two", Generation: 1}
	for _, want := range [][]routing.Route{{one}, {one, two}, {}} {
		l.Set(want)
		l.Set(slices.Clone(want)) // is no news
		if got := <-snapshots; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	cancel()
	select {
	case got := <-snapshots:
		t.Errorf("another snapshot %v came from nowhere", got)
	case <-done:
	}
}

// TestListSaysNothingBeforeItIsSet keeps a router from believing that there are no services while nobody has looked.
func TestListSaysNothingBeforeItIsSet(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for routes := range static.NewList().Routes(ctx) {
		t.Errorf("the list says %v", routes)
	}
}
