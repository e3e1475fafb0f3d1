package hub

import "context"

// newcomers has those who come for the first time, and whose rights change by that or whose name others have, do so one after another. Each of them finds no row where all others
// write theirs, so of hundreds at once, such as a class in its first lesson, Postgres would let a few through and undo the rest, again and again. All others wait for nobody.
//
// Those of other replicas are no crowd. SQLite lets nobody write beside another anyway, so that the turn is nearly always free there.
type newcomers chan struct{}

// turn waits until nobody else has the turn, unless the context ends before. done gives it on.
func (n newcomers) turn(ctx context.Context) (done func(), err error) {
	select {
	case n <- struct{}{}:
		return func() { <-n }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
