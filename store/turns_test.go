package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

func TestTurnsGoToTheUrgentFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := &turns{}
		first, err := line.take(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		for _, who := range []struct {
			name   string
			urgent bool
		}{{"a", false}, {"b", false}, {"c", true}, {"d", true}, {"e", false}} {
			go func() {
				done, err := line.take(t.Context(), who.urgent)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, who.name)
				mu.Unlock()
				done()
			}()
			synctest.Wait()
		}
		first()
		synctest.Wait()
		if want := []string{"c", "d", "a", "b", "e"}; !slices.Equal(order, want) {
			t.Errorf("the order is %v", order)
		}
		last, err := line.take(t.Context(), false)
		if err != nil {
			t.Fatal("the line is not free at the end")
		}
		last()
	})
}

func TestWhoGivesUpItsTurnHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const rivals = 50
	line := &turns{}
	for range 200 { // the turn comes and the wish goes at the same moment
		done, err := line.take(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range rivals {
			all.Go(func() {
				done, err := line.take(ctx, i%2 == 0)
				if err == nil {
					done()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
		}
		all.Go(cancel)
		done()
		all.Wait()
	}
	done, err := line.take(t.Context(), false)
	if err != nil || len(line.waiting)+len(line.urgent) != 0 {
		t.Fatalf("%v, %+v", err, line)
	}
	done()
}
