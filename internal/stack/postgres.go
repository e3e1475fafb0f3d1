package stack

import (
	"context"
	"path/filepath"

	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// Postgres is a throw-away database server with one empty database for the hub. Its Pause, Resume and Restart make its faults.
type Postgres struct {
	*pgtest.Server
	DSN string // the URL of the hub's database
}

func (s *Stack) startPostgres(ctx context.Context, o Options) error {
	if !o.Postgres {
		return nil
	}
	server, err := pgtest.Start(ctx, pgtest.Options{Dir: filepath.Join(s.Dir, "postgres"), Port: o.Ports.Postgres})
	if err != nil {
		return err
	}
	s.Postgres = &Postgres{Server: server, DSN: server.URL("nomadhub")}
	return server.Exec(ctx, "postgres", "CREATE DATABASE nomadhub TEMPLATE template0")
}

func (s *Stack) stopPostgres() error {
	if s.Postgres == nil {
		return nil
	}
	return s.Postgres.Stop()
}
