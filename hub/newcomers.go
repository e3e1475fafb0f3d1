package hub

import (
	"context"
	"errors"
)

// newcomers has those who log in for the first time come one after another. Each of them finds no row where all others write theirs, so of hundreds at once, such as a
// class in its first lesson, Postgres would let a few through and undo the rest, again and again. Who comes back waits for nobody.
//
// Those of other replicas are no crowd. SQLite lets nobody write beside another anyway, so that the turn is nearly always free there.
type newcomers chan struct{}

// errNewcomer is what enroll says of a subject that was never seen, where it is another newcomer's turn.
var errNewcomer = errors.New("somebody else logs in for the first time")

// newcomer is one of them, or somebody who may turn out to be one.
type newcomer struct {
	newcomers
	taken bool
}

// try takes the turn if nobody has it.
func (t *newcomer) try() bool {
	if !t.taken {
		select {
		case t.newcomers <- struct{}{}:
			t.taken = true
		default:
		}
	}
	return t.taken
}

// wait takes the turn, unless the context ends before.
func (t *newcomer) wait(ctx context.Context) error {
	select {
	case t.newcomers <- struct{}{}:
		t.taken = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end gives the turn to the next, if it was taken.
func (t *newcomer) end() {
	if t.taken {
		<-t.newcomers
	}
}
