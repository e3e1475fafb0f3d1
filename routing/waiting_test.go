package routing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestWhoWaitsIsWokenByItsOwnServerOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newScript()
		r := run(t, nil, quiet(), NamedSource{"s", source})
		asked := map[string]int{}
		done := make(chan error, 3)
		ctx, giveUp := context.WithCancel(t.Context())
		for server, ctx := range map[string]context.Context{"a": t.Context(), "b": t.Context(), "c": ctx} {
			go func() {
				done <- r.awaitServer(ctx, server, func(t *Table) (bool, error) {
					asked[server]++ // one at a time: the bubble waits between changes
					route, ok := t.Server(server)
					return ok && route.Generation == 2, nil
				})
			}()
			synctest.Wait()
		}
		others := []Route{}
		for i := range 10 {
			others = append(others, route("/user/x/", "x", uint64(i)))
			source.lines <- line{routes: others}
			synctest.Wait()
		}
		source.lines <- line{routes: []Route{route("/user/a/", "a", 30)}} // not yet the one that is awaited
		synctest.Wait()
		if asked["a"] != 2 || asked["b"] != 1 || asked["c"] != 1 {
			t.Errorf("asked %v times, want a twice and the others once", asked)
		}
		a, b := route("/user/a/", "a", 31), route("/user/b/", "b", 32)
		a.Generation, b.Generation = 2, 2
		source.lines <- line{routes: []Route{a, b}}
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		giveUp()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up got %v", err)
		}
		if n := len(r.waiting.of); n != 0 {
			t.Errorf("%d are still noted as waiting", n)
		}
	})
}
