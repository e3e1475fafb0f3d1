package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// freshDatabase makes the URL of a database that nobody has used yet; "" is SQLite in the hub's folder.
type freshDatabase func(ctx context.Context) (dsn string, err error)

// eachDatabase is for what needs several databases of each kind that was asked for.
func (r *run) eachDatabase(ctx context.Context, do func(ctx context.Context, name string, fresh freshDatabase) error) error {
	if r.database != "postgres" {
		err := do(ctx, "sqlite", func(context.Context) (string, error) { return "", nil })
		if err != nil || r.database == "sqlite" {
			return err
		}
	}
	pg, err := pgtest.Start(ctx, pgtest.Options{Dir: filepath.Join(r.dir, "postgres"), Durable: true})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		fmt.Fprintln(os.Stderr, "bench: no Postgres on this machine:", err)
		return nil
	}
	if err != nil {
		return err
	}
	err = do(ctx, "postgres", func(ctx context.Context) (string, error) {
		name, err := pg.CreateDatabase(ctx)
		return pg.URL(name), err
	})
	return errors.Join(err, pg.Stop())
}

// databases is for what needs one database of each kind that was asked for.
func (r *run) databases(ctx context.Context, do func(ctx context.Context, name, dsn string) error) error {
	return r.eachDatabase(ctx, func(ctx context.Context, name string, fresh freshDatabase) error {
		dsn, err := fresh(ctx)
		if err != nil {
			return err
		}
		return do(ctx, name, dsn)
	})
}
