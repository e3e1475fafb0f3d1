package main

import (
	"context"
	"flag"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/store"
)

// databaseFlags say which database a command works on that needs nothing else of the hub.
type databaseFlags struct {
	files paths
	dsn   string
	// config is the whole configuration, once the database is open.
	config config.Config
}

func addDatabaseFlags(fs *flag.FlagSet) *databaseFlags {
	d := &databaseFlags{}
	fs.Var(&d.files, "config", "configuration file or directory; may be repeated")
	fs.StringVar(&d.dsn, "dsn", "", "database, instead of the configuration's")
	return d
}

// open opens the database, and tells which migrations it has not had yet.
func (d *databaseFlags) open(ctx context.Context, std streams) (db *store.Store, pending []string, err error) {
	cfg, err := config.Load(config.Default(defaultDirectory), d.files, std.environ)
	if err != nil {
		return nil, nil, err
	}
	if d.dsn != "" {
		cfg.Database.DSN = d.dsn
	}
	d.config = cfg
	db, err = store.Open(ctx, store.Options{DSN: cfg.Database.DSN, Logger: newLogger(std.err, *cfg.Log)})
	if err != nil {
		return nil, nil, err
	}
	if pending, err = db.Pending(ctx); err != nil {
		_ = db.Close() // the first error is the one to tell
		return nil, nil, err
	}
	return db, pending, nil
}
