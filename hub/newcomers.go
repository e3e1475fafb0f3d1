package hub

import (
	"context"
	"errors"
)

// newcomers has those who log in for the first time come one after another. Each of them finds no row where all others write theirs, so of hundreds at once, such as a
// class in its first lesson, Postgres would let a few through and undo the rest, again and again. Who comes back waits for nobody.
type newcomers chan struct{}

// errNewcomer is what enroll says of a subject that was never seen, where it is not the newcomers' turn.
var errNewcomer = errors.New("somebody logs in for the first time")

// one runs fn when no other newcomer of this hub is being enrolled. Those of other replicas are no crowd.
func (n newcomers) one(ctx context.Context, fn func() error) error {
	select {
	case n <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-n }()
	return fn()
}
