package main

import (
	"context"
	"fmt"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/store"
)

func runMigrate(ctx context.Context, args []string, std streams) error {
	var files paths
	fs := newFlags("migrate", std)
	fs.Var(&files, "config", "configuration file or directory; may be repeated")
	dsn := fs.String("dsn", "", "database, instead of the configuration's")
	dry := fs.Bool("dry-run", false, "only tell what would be done")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := config.Load(config.Default(defaultDirectory), files, std.environ)
	if err != nil {
		return err
	}
	if *dsn != "" {
		cfg.Database.DSN = *dsn
	}
	db, err := store.Open(ctx, store.Options{DSN: cfg.Database.DSN, Logger: newLogger(std.err, *cfg.Log)})
	if err != nil {
		return err
	}
	defer db.Close()
	pending, err := db.Pending(ctx)
	if err != nil {
		return err
	}
	for _, name := range pending {
		fmt.Fprintln(std.out, "pending:", name)
	}
	if *dry {
		return nil
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "The schema is up to date; %d migrations were made.\n", len(pending))
	return nil
}
