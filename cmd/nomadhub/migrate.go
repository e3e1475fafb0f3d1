package main

import (
	"context"
	"fmt"
)

func runMigrate(ctx context.Context, args []string, std streams) error {
	fs := newFlags("migrate", std)
	database := addDatabaseFlags(fs)
	dry := fs.Bool("dry-run", false, "only tell what would be done")
	if err := parse(fs, args); err != nil {
		return err
	}
	db, pending, err := database.open(ctx, std)
	if err != nil {
		return err
	}
	defer db.Close()
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
