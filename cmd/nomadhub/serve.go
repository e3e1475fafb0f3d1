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
	load := func() (loaded, error) {
		cfg, err := loadConfig(config.Default(defaultDirectory), files, std.environ)
		if err != nil {
			return loaded{}, err
		}
		return withProfiles(cfg, std.environ)
	}
	reload := newReloader(files, load).onHangup()
	now, err := load()
	if err != nil {
		return err
	}
	log, level := newLeveledLogger(std.err, *now.Log)
	return run(ctx, program{config: now.Config, environ: std.environ, log: log, level: level, reload: reload})
}
