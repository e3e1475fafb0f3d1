package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/heap"
	"github.com/nomadhub/nomadhub/leader"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/secret"
	"github.com/nomadhub/nomadhub/store"
	"github.com/nomadhub/nomadhub/web"
)

// assembly is a hub under construction.
type assembly struct {
	program
	loaded    loaded
	adviser   *adviser // nil: there is none
	registry  *prometheus.Registry
	secrets   secret.Store
	keys      *secret.Ring
	store     *store.Store
	scheduler scheduler.Scheduler
	routes    *routes

	hub      *hub.Hub
	events   *eventLog
	metrics  programMetrics
	begun    time.Time // when it was assembled
	proxy    *routing.Proxy
	watchers []func(context.Context) error
	throttle *httpd.Throttle
	guesses  *httpd.Guesses
	services *serviceDefinitions
	routers  httpd.Routers
}

// lazyRoutes lets the hub be made before the proxy, whose fallback is the hub's pages.
type lazyRoutes struct {
	*routing.Router
	proxy atomic.Pointer[routing.Proxy]
}

func (l *lazyRoutes) TakeActivity() []routing.Activity {
	if p := l.proxy.Load(); p != nil {
		return p.TakeActivity()
	}
	return nil
}

func (a *assembly) assemble(bound []httpd.Bound) error {
	urls, err := hubURLs(a.config, bound)
	if err != nil {
		return err
	}
	a.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "nomadhub_keys_age_seconds", Help: "Time since the key ring was last read from where secrets are kept.",
	}, func() float64 { return time.Since(a.keys.LastRead()).Seconds() }))
	lazy := &lazyRoutes{Router: a.routes.router}
	options := a.hubOptions(urls, lazy)
	if err := a.runServices(&options); err != nil {
		return err
	}
	if options.Culling, err = cullRules(*a.config.Culling); err != nil {
		return err
	}
	if options.Usage, err = usageRules(*a.config.Usage); err != nil {
		return err
	}
	if options.Roles, err = rolePolicy(a.config); err != nil {
		return err
	}
	a.metrics, a.begun = newProgramMetrics(a.registry), time.Now()
	a.events = newEventLog(a.log, os.Stdout, a.registry)
	if err := a.events.open(a.config.Events.File); err != nil {
		return err
	}
	options.Events = a.events.tell
	if a.hub, err = hub.New(options); err != nil {
		return err
	}
	ways, watchers, err := openAuthenticators(a.config, a.environ, a.secrets, a.log)
	if err != nil {
		return err
	}
	a.services = &serviceDefinitions{hub: a.hub, secrets: a.secrets, every: a.config.Secrets.Interval.Value(), cluster: a.config.Nomad != nil, log: a.log}
	a.watchers = append(watchers, a.services.run, a.keepHeap, a.events.run, a.metrics.run)
	a.throttle = httpd.NewThrottle(a.config.Limits.RequestsPerSecond, a.config.Limits.RequestBurst, a.registry)
	a.guesses = httpd.NewGuesses(a.config.Limits.WrongPerName, a.config.Limits.WrongPerAddress, time.Now, a.registry)
	if a.adviser = newAdviser(a.scheduler, a.log); a.adviser != nil {
		a.adviser.tell(a.loaded)
		a.watchers = append(a.watchers, a.adviser.run)
	}
	if a.reload != nil {
		a.reload.prepare(a.loaded, a.log, a.registry, a.liveParts()...)
		a.watchers = append(a.watchers, a.reload.run)
	}
	sessions := &httpd.Sessions{Accounts: a.hub, Keys: a.keys, URLs: urls, Throttle: a.throttle, Guesses: a.guesses}
	pages := web.Options{Hub: a.hub, Sessions: sessions, Logger: a.log, Authenticators: ways, Version: version, HomeFirst: true}
	if a.link != nil {
		pages.Link = a.link
	}
	if a.config.Login.LinkByName {
		pages.LinkByName = map[string]bool{}
		for _, w := range ways {
			pages.LinkByName[w.ID()] = true
		}
	}
	site, err := web.New(pages)
	if err != nil {
		return err
	}
	a.proxy, err = routing.NewProxy(routing.Options{
		Router: a.routes.router, Fallback: site.Fallback(), ErrorHandler: site.ProxyError, Logger: a.log, Registerer: a.registry,
		TrustForwarded: trustForwarded(a.config.Listen.TrustedProxies), Serves: serves(urls), Foreign: foreign(urls),
	})
	if err != nil {
		return err
	}
	lazy.proxy.Store(a.proxy)
	rest, err := api.New(api.Options{Hub: a.hub, Sessions: sessions, Logger: a.log, Metrics: httpd.NewScrape(a.registry),
		OpenMetrics: !a.config.Metrics.AuthenticatePrometheus, Info: info(a.config), Shutdown: a.end,
		Authenticators: ways, LinkByName: pages.LinkByName})
	if err != nil {
		return err
	}
	provider, err := oauth.New(oauth.Options{
		Hub: a.hub, Sessions: sessions, Logger: a.log, RenderPage: site.RenderError, Consent: consent(site),
	})
	if err != nil {
		return err
	}
	a.routers = httpd.NewRouters(httpd.Parts{
		URLs: urls, Pages: func(r chi.Router) { site.Mount(r) }, API: rest.Mount, OAuth: provider.Mount, Proxy: a.proxy,
		RenderPage: site.RenderError, Log: a.log, Registerer: a.registry, Trusted: a.config.Listen.TrustedProxies,
		Auditor: a.hub, Acts: acts(), Metrics: rest.Metrics(),
	})
	return nil
}

// serves binds routes to hosts, where users and services have their own.
func serves(urls hub.URLs) func(host, prefix string) bool {
	if !urls.Subdomains() {
		return nil
	}
	return urls.Serves
}

// foreign keeps servers' cookies apart, where browsers send each to all of them.
func foreign(urls hub.URLs) func(prefix, cookie string) bool {
	if !urls.HostPrefix() {
		return nil
	}
	return urls.Foreign
}

// acts are the names that the audit log has for what requests do.
func acts() httpd.Acts {
	all := api.Acts()
	maps.Copy(all, web.Acts())
	maps.Copy(all, oauth.Acts())
	return all
}

func hubURLs(cfg config.Config, bound []httpd.Bound) (hub.URLs, error) {
	servers := cfg.Listen.ServersURL
	for _, b := range bound {
		if b.Name == "servers" && servers == "" {
			servers = b.URL()
		}
	}
	if cfg.Address() == "" {
		return hub.NewURLs(cfg.BaseURL, nil, servers), nil
	}
	public, err := url.Parse(cfg.Address())
	if err != nil {
		return hub.URLs{}, fmt.Errorf("public_url: %w", err)
	}
	urls := hub.NewURLs(cfg.BaseURL, public, servers)
	if cfg.SubdomainHost != "" {
		urls = urls.WithSubdomains()
	}
	if cfg.CookieHostPrefix {
		urls = urls.WithHostPrefix()
	}
	return urls, nil
}

const leaseTime = 10 * time.Second

func (a *assembly) hubOptions(urls hub.URLs, r hub.Routes) hub.Options {
	c := a.config
	return hub.Options{
		Store: a.store, Scheduler: a.scheduler, Publisher: a.routes.publisher, Routes: r, URLs: urls, Logger: a.log,
		Admission: admission(*c.Login),
		Notebook: hub.Notebook{
			Env: c.Notebook.Env, DefaultURL: c.Notebook.DefaultURL, LocalAccounts: c.Nomad == nil && c.Local.Accounts,
			Resources:    scheduler.Resources{CPU: c.Notebook.CPU, MemoryMB: c.Notebook.Memory, MemoryMaxMB: c.Notebook.MemoryMax},
			PlaceTimeout: c.Notebook.PlaceTimeout.Value(), AnswerTimeout: c.Notebook.AnswerTimeout.Value(),
			QueueTimeout: c.Notebook.QueueTimeout.Value(),
			WarmImages:   c.Nomad != nil && c.Nomad.WarmImages,
		},
		Limits:          hubLimits(*c.Limits),
		Profiles:        profilesOf(a.loaded),
		ServiceName:     a.routes.serviceName,
		SessionLifetime: c.Login.SessionLifetime.Value(),
		StopServers:     c.Nomad == nil && c.Local.StopServers,
		Registerer:      a.registry,
		Buckets:         hub.Buckets{Spawn: c.Metrics.SpawnBuckets, Stop: c.Metrics.StopBuckets},
		AuditKeep:       c.Audit.Keep.Value(),
		Elect:           a.elector(),
		ServiceRoutes:   a.routes.services.Set,
	}
}

// runServices says what runs the services that the hub sees to: Nomad, or this process.
func (a *assembly) runServices(o *hub.Options) (err error) {
	if a.config.Nomad == nil {
		o.ServiceRunner = processes{a.log}
		return nil
	}
	o.ServiceScheduler, o.ServiceTemplate, err = openServiceScheduler(*a.config.Nomad, a.log)
	return err
}

// elector has one of several replicas look after all servers. A hub that runs servers as its own processes is the only one.
func (a *assembly) elector() hub.Elector {
	if a.config.Nomad == nil {
		return nil
	}
	// A task that Nomad restarts in its place goes on with the lease that it had.
	holder := cmp.Or(lookup(a.environ, "NOMAD_ALLOC_ID"), uuid.NewString())
	return func(ctx context.Context, duty string, fn func(context.Context) error) error {
		return leader.Run(ctx, a.store, leader.Options{Name: duty, Holder: holder, TTL: leaseTime, Logger: a.log}, fn)
	}
}

func (a *assembly) keepHeap(ctx context.Context) error {
	return heap.Keep(ctx, func(name string) string { return lookup(a.environ, name) })
}

func lookup(environ []string, name string) string {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			return v
		}
	}
	return ""
}

func normalized(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = hub.NormalizeUserName(n)
	}
	return out
}

// run starts all that runs beside the listeners, and the listeners when the routes are known. Everything ends in the reverse order.
func (a *assembly) run(ctx context.Context, state *readiness, bound, operations []httpd.Bound) error {
	if err := a.services.begin(ctx, a.loaded.Services); err != nil { // before anybody asks for one
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	work, bctx := errgroup.WithContext(background)
	work.Go(func() error { return a.routes.router.Run(bctx) })
	work.Go(func() error { return quiet(a.keys.Run(bctx)) })
	for _, watch := range a.watchers {
		work.Go(func() error { return quiet(watch(bctx)) })
	}
	work.Go(func() error { return a.hub.Run(bctx) })

	drain := a.config.Listen.DrainTimeout.Value()
	public, servers := bound[0], bound[1]
	visitors := newHeld(a.routers.Public, a.hub.URLs().Hub(), a.routed)
	public.Handler, servers.Handler = visitors, a.routers.Servers
	front, fctx := errgroup.WithContext(ctx)
	front.Go(func() error { // a failure behind ends the front
		select {
		case <-fctx.Done():
			return nil
		case <-bctx.Done():
			return errors.New("a part of the hub ended")
		}
	})
	front.Go(func() error { return httpd.Serve(fctx, a.log, drain, servers) })
	front.Go(func() error {
		defer a.proxy.Close()
		return httpd.Serve(fctx, a.log, drain, public)
	})
	front.Go(func() error {
		a.awaitRoutes(fctx, visitors)
		if err := a.routes.router.WaitReady(fctx); err != nil {
			return quiet(err)
		}
		state.set(a.hub.Ping)
		a.metrics.startup.Observe(time.Since(a.begun).Seconds())
		a.log.Info("serving", "public", public.URL(), "servers", servers.URL(), "metrics", operations[0].URL())
		if a.ready != nil {
			a.ready(public.URL())
		}
		return nil
	})
	err := front.Wait()
	stop()
	return errors.Join(quiet(err), quiet(work.Wait()))
}

// quiet drops the error that only says that somebody asked to stop.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// readiness is what the readiness check asks; until it is set, the hub is alive and not ready.
type readiness struct {
	ping atomic.Pointer[func(context.Context) error]
}

func (r *readiness) set(ping func(context.Context) error) { r.ping.Store(&ping) }

func (r *readiness) check(ctx context.Context) error {
	ping := r.ping.Load()
	if ping == nil {
		return errors.New("the hub is starting: see its log for what it waits for")
	}
	return (*ping)(ctx)
}
