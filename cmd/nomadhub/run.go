package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/auth/link"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/store"
)

// program is one hub to run.
type program struct {
	config  config.Config
	environ []string
	log     *slog.Logger
	level   *slog.LevelVar         // of log; nil: it is not changed
	reload  *reloader              // reads the configuration again; nil: nothing does
	link    *link.Authenticator    // the one-time link; nil: there is none
	ready   func(publicURL string) // called once it serves
	end     func()                 // ends it as a signal does; set by run
}

// run is the hub: one list from the database to the listeners. It returns when ctx ends and everything has been put away, or at the first failure.
func run(ctx context.Context, p program) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	state := &readiness{}

	ctx, p.end = context.WithCancel(ctx)
	defer p.end()
	g, ctx := errgroup.WithContext(ctx)
	operations, err := httpd.Bind(ctx, httpd.Listener{Name: "metrics", Address: p.config.Listen.Metrics, Handler: httpd.NewOperations(registry, state.check)})
	if err != nil {
		return err
	}
	drain := p.config.Listen.DrainTimeout.Value()
	g.Go(func() error { return httpd.Serve(ctx, p.log, drain, operations...) })
	g.Go(func() error { return p.serve(ctx, registry, state, operations) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	p.log.Info("stopped")
	return nil
}

// serve opens what the hub stands on, waits for what is away, and serves.
func (p program) serve(ctx context.Context, registry *prometheus.Registry, state *readiness, operations []httpd.Bound) error {
	cfg := p.config
	secrets, err := openSecrets(ctx, *cfg.Secrets, p.environ, p.log)
	if err != nil {
		return err
	}
	keys, err := loadKeys(ctx, secrets, *cfg.Secrets, p.log)
	if err != nil {
		return err
	}
	db, err := openStore(ctx, *cfg.Database, p.log)
	if err != nil {
		return err
	}
	defer db.Close()
	now, err := withProfiles(cfg, p.environ)
	if err != nil {
		return err
	}
	sched, release, err := openScheduler(cfg, now.jobspecs, p.environ, p.log)
	if err != nil {
		return err
	}
	defer func() {
		if err := release(); err != nil {
			p.log.Warn("the scheduler was not put away cleanly", "err", err)
		}
	}()
	routes, err := openRoutes(cfg, keys, registry, p.log)
	if err != nil {
		return err
	}
	bound, err := httpd.Bind(ctx,
		httpd.Listener{Name: "public", Address: cfg.Listen.Public},
		httpd.Listener{Name: "servers", Address: cfg.Listen.Servers})
	if err != nil {
		return err
	}
	parts := &assembly{program: p, loaded: now, registry: registry, secrets: secrets, keys: keys, store: db, scheduler: sched, routes: routes}
	if err := parts.assemble(bound); err != nil {
		return err
	}
	return parts.run(ctx, state, bound, operations)
}

func openStore(ctx context.Context, c config.Database, log *slog.Logger) (*store.Store, error) {
	var db *store.Store
	err := retry(ctx, log, "the database", func(ctx context.Context) error {
		opened, err := store.Open(ctx, store.Options{DSN: c.DSN, MaxConns: c.MaxConnections, Logger: log})
		if err != nil {
			return err
		}
		if err := opened.Migrate(ctx); err != nil {
			return errors.Join(err, opened.Close())
		}
		db = opened
		return nil
	})
	return db, err
}
