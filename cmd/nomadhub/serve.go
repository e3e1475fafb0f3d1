package main

import (
	"context"

	"github.com/nomadhub/nomadhub/config"
)

func runServe(ctx context.Context, args []string, std streams) error {
	var files paths
	fs := newFlags("serve", std)
	fs.Var(&files, "config", "configuration file or directory; may be repeated")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := loadConfig(config.Default(defaultDirectory), files, std.environ)
	if err != nil {
		return err
	}
	return run(ctx, program{config: cfg, environ: std.environ, log: newLogger(std.err, *cfg.Log)})
}
