package hub

import (
	"context"
	"errors"
	"testing"
)

// A turn is one newcomer's until that one is done. Who gives up waiting takes none.
func TestNewcomersTakeTurns(t *testing.T) {
	t.Parallel()
	queue := make(newcomers, 1)
	for range 2 {
		done, err := queue.turn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := queue.turn(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("two have the turn: %v", err)
		}
		done()
	}
}
