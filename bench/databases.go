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

// databaseKind is a kind of database that was asked for.
type databaseKind struct {
	name  string // sqlite or postgres
	fresh freshDatabase
}

// room makes a folder and a database of that kind for a hub that begins.
func (r *run) room(ctx context.Context, name string, kind databaseKind) (dir, dsn string, err error) {
	if dir, err = r.folder(name); err == nil {
		dsn, err = kind.fresh(ctx)
	}
	return dir, dsn, err
}

// withDatabases is for what needs all kinds that were asked for at once.
func (r *run) withDatabases(ctx context.Context, do func(ctx context.Context, kinds []databaseKind) error) (err error) {
	var kinds []databaseKind
	if r.database != "postgres" {
		kinds = append(kinds, databaseKind{"sqlite", func(context.Context) (string, error) { return "", nil }})
	}
	if r.database != "sqlite" {
		pg, failed := pgtest.Start(ctx, pgtest.Options{Dir: filepath.Join(r.dir, "postgres"), Durable: true})
		switch {
		case errors.Is(failed, pgtest.ErrNotInstalled):
			fmt.Fprintln(os.Stderr, "bench: no Postgres on this machine:", failed)
		case failed != nil:
			return failed
		default:
			defer func() { err = errors.Join(err, pg.Stop()) }()
			kinds = append(kinds, databaseKind{"postgres", func(ctx context.Context) (string, error) {
				name, err := pg.CreateDatabase(ctx)
				return pg.URL(name), err
			}})
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	return do(ctx, kinds)
}

// eachDatabase is for what needs several databases of each kind that was asked for, one kind after the other.
func (r *run) eachDatabase(ctx context.Context, do func(ctx context.Context, name string, fresh freshDatabase) error) error {
	return r.withDatabases(ctx, func(ctx context.Context, kinds []databaseKind) error {
		for _, k := range kinds {
			if err := do(ctx, k.name, k.fresh); err != nil {
				return err
			}
		}
		return nil
	})
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
