package stack

import (
	"context"
	"errors"
)

// Postgres is a throw-away database server.
type Postgres struct {
	DSN string
}

func (s *Stack) startPostgres(_ context.Context, o Options) error {
	if o.Postgres {
		return errors.New("later")
	}
	return nil
}

func (s *Stack) stopPostgres() error { return nil }
