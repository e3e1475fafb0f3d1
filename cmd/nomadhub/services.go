package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/secret"
)

// serviceOf is a service of the configuration as the hub takes it. On a cluster, what the hub sees to that it runs is a job.
func serviceOf(c config.Service, cluster bool) hub.ConfiguredService {
	info := map[string]any{}
	for k, v := range c.Info {
		info[k] = v
	}
	s := hub.ConfiguredService{Token: string(c.APIToken), Service: hub.Service{
		Name: c.Name, Origin: hub.FromConfig, Admin: c.Admin, URL: c.URL, Command: some(c.Command), Directory: c.Directory, User: c.User, Environment: c.Environment,
		Info: info, Display: c.Displayed(), ClientID: c.ClientID, RedirectURI: c.RedirectURI, AllowedScopes: some(c.AllowedScopes), NoConfirm: c.NoConfirm,
		Serves: c.Serves,
	}}
	if cluster && c.Runs() {
		s.Job = jobOf(c)
	}
	return s
}

// jobOf is what Nomad shall run for a service. Its jobspec says the rest.
func jobOf(c config.Service) *hub.ServiceJob {
	w := scheduler.Workload{
		Driver: c.Driver, Image: c.Image, User: c.User, WorkDir: c.Directory,
		Placement: scheduler.Placement{NodePool: c.NodePool}, Network: scheduler.Network{Mode: c.Network, Port: c.Port},
	}
	if w.Driver == "" && w.Image != "" {
		w.Driver = "docker"
	}
	if len(c.Command) > 0 {
		w.Command, w.Args = c.Command[0], some(c.Command[1:])
	}
	return &hub.ServiceJob{Workload: w, Resources: scheduler.Resources{CPU: c.CPU, MemoryMB: c.Memory, MemoryMaxMB: c.MemoryMax}}
}

// checkServices finds what is wrong with each service by itself.
func checkServices(cfg config.Config) error {
	policy, err := rolePolicy(cfg)
	if err != nil {
		return nil //nolint:nilerr // checkRoles says so
	}
	var errs []error
	for _, c := range cfg.Services {
		s := serviceOf(c, cfg.Nomad != nil)
		err := hub.CheckService(s.Service, s.Token)
		if err == nil {
			err = policy.Validate(s.AllowedScopes)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: service %q: %w", config.Where(c.At), c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// serviceDefinitions hand the hub the services of the configuration, with the tokens that are kept where secrets are.
type serviceDefinitions struct {
	hub     *hub.Hub
	secrets secret.Store
	every   time.Duration
	cluster bool // services are run as jobs
	log     *slog.Logger

	mu      sync.Mutex
	current []config.Service
	tokens  map[string]string // of those whose token is a secret, by name
}

// begin puts the first ones in force. It waits for the secrets.
func (d *serviceDefinitions) begin(ctx context.Context, all []config.Service) error {
	if !slices.ContainsFunc(all, fromSecrets) {
		return d.apply(ctx, all)
	}
	return retry(ctx, d.log, "the services of the configuration", func(ctx context.Context) error { return d.apply(ctx, all) })
}

// apply puts other services in force.
func (d *serviceDefinitions) apply(ctx context.Context, all []config.Service) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tokens, err := d.read(ctx, all)
	if err != nil {
		return err
	}
	return d.put(ctx, all, tokens)
}

func (d *serviceDefinitions) put(ctx context.Context, all []config.Service, tokens map[string]string) error {
	services := make([]hub.ConfiguredService, len(all))
	for i, c := range all {
		services[i] = serviceOf(c, d.cluster)
		if fromSecrets(c) {
			services[i].Token = tokens[c.Name]
		}
	}
	if err := d.hub.SetServices(ctx, services); err != nil {
		return err
	}
	d.current, d.tokens = all, tokens
	return nil
}

// fromSecrets tells whether the token of a service is looked for where secrets are: somebody else runs it, and the configuration has none.
func fromSecrets(c config.Service) bool { return c.APIToken == "" && !c.Runs() }

// read reads the tokens that are secrets. A service may have none: then it cannot speak to the hub.
func (d *serviceDefinitions) read(ctx context.Context, all []config.Service) (map[string]string, error) {
	tokens := map[string]string{}
	for _, c := range all {
		if !fromSecrets(c) {
			continue
		}
		s, err := d.secrets.Get(ctx, "services/"+c.Name)
		switch {
		case err == nil:
			tokens[c.Name] = s.Values["api_token"].Reveal()
		case !errors.Is(err, secret.ErrNotFound):
			return nil, fmt.Errorf("the token of the service %s was not read: %w", c.Name, err)
		}
	}
	return tokens, nil
}

// run follows the tokens that are secrets, so that changing one needs no restart.
func (d *serviceDefinitions) run(ctx context.Context) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := d.follow(ctx); err != nil && ctx.Err() == nil {
				d.log.WarnContext(ctx, "tokens of services not read again; those of before stay", "err", err)
			}
		}
	}
}

func (d *serviceDefinitions) follow(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tokens, err := d.read(ctx, d.current)
	if err != nil || maps.Equal(tokens, d.tokens) {
		return err
	}
	d.log.InfoContext(ctx, "tokens of services changed where secrets are kept")
	return d.put(ctx, d.current, tokens)
}
