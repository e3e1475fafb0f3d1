package hub

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub/budget"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
)

// Routes tells the hub when the proxy of this process has a route.
type Routes interface {
	// AwaitRoute returns nil once requests to this run of the server reach it, or the context's error.
	AwaitRoute(ctx context.Context, server string, generation int64, instance string) error
	// TakeActivity returns what the proxy saw since the last call.
	TakeActivity() []routing.Activity
}

// Elector runs fn while this replica is the one chosen for the duty. It returns when ctx ends.
type Elector func(ctx context.Context, duty string, fn func(context.Context) error) error

// Options are what a Hub is made of. Store, Scheduler, Publisher, Routes, URLs and Logger are required.
type Options struct {
	Store     Store
	Scheduler scheduler.Scheduler
	Publisher routing.Publisher
	Routes    Routes
	URLs      URLs
	Logger    *slog.Logger

	Admission Admission
	// Roles are the roles and custom scopes; nil: those that every hub has. See [Hub.SetRoles].
	Roles    *scope.Policy
	Notebook Notebook
	Limits   Limits
	// Profiles are what users may choose from; nil: servers are started as Notebook says, whatever their options. See [Hub.SetProfiles].
	Profiles Profiles
	// Culling are the rules about servers that nobody uses; nil: they run on. See [Hub.SetCulling].
	Culling *cull.Rules
	// Usage says how the ledger of usage is kept, and what it limits. See [Hub.SetUsage].
	Usage budget.Rules
	// AuditKeep is for how long entries of the audit log are kept; 0: for ever. See [Hub.SetAuditKeep].
	AuditKeep time.Duration

	// ServiceRoutes takes the routes to all services whenever they are read; nil: they are not routed.
	ServiceRoutes func([]routing.Route)
	// ServiceRunner runs the commands of services; nil: none is run.
	ServiceRunner ServiceRunner
	// ServiceScheduler runs the jobs of services, and nothing else; nil: there are none. ServiceTemplate differs from what it was whenever the same job would be another
	// one there, so that services are started anew.
	ServiceScheduler scheduler.Scheduler
	ServiceTemplate  string

	// ServiceName tells under which name discovery shall find a server; nil: it is not registered.
	ServiceName func(serverID string) string
	// Elect chooses one of several replicas for what only one need do; nil: this is the only one.
	Elect Elector
	// Probe asks servers whether they answer; nil: a client without proxy or redirects.
	Probe *http.Client
	// SessionLifetime is how long a login lasts; default 14 days, as in JupyterHub.
	SessionLifetime time.Duration
	// StopServers ends all servers when Run ends; the default leaves them running, and the next start finds them again.
	StopServers bool
	Registerer  prometheus.Registerer
	// Buckets are those of the histograms that have a choice; zero: JupyterHub's.
	Buckets Buckets
	// Events is told of starts and stops; nil: nobody is. It must not wait.
	Events func(ServerEvent)
	Now    func() time.Time
}

// Notebook is how servers are started.
type Notebook struct {
	Env       map[string]string // added to every server's environment; wins over the hub's own
	Resources scheduler.Resources
	// PlaceTimeout bounds the time from the start's request to a place on a machine; default 2 minutes.
	PlaceTimeout time.Duration
	// AnswerTimeout bounds the time from a place to the first answer over HTTP; default 1 minute.
	AnswerTimeout time.Duration
	// QueueTimeout bounds how long a start waits for room; default 1 hour.
	QueueTimeout time.Duration
	// LocalAccounts runs each server as the local account of its user's name, where the scheduler can.
	LocalAccounts bool
	// WarmImages has machines keep the images of the profiles, where the scheduler can.
	WarmImages bool
	// DefaultURL is where a server's root leads, such as "/lab"; default: the server decides.
	DefaultURL string
}

// Hub is the core: all use cases of the product. Its methods are safe for concurrent use.
type Hub struct {
	opts      Options
	store     Store
	urls      URLs
	log       *slog.Logger
	now       func() time.Time
	metrics   metrics
	journals  journals
	activity  activityBuffer
	control   controller
	volumes   volumeWork
	admission atomic.Pointer[Admission]
	profiles  atomic.Pointer[Profiles]
	limits    atomic.Pointer[Limits]
	roles     atomic.Pointer[scope.Policy]
	queue     startQueue
	desk      desk
	rows      rowWatch
	newcomers newcomers
	forecasts forecasts
	warmths   warmths
	culling   atomic.Pointer[cull.Rules]
	takeAlong atomic.Pointer[bool] // whether servers end with this hub, where a request said so
	cullNow   chan struct{}        // other rules are in force; capacity 1
	culls     cullMetrics
	services  services
	watch     activityWatch
	ledger    ledger
	auditor   *auditor
	// recent is what the hub has just read.
	recent    recent
	auditKeep atomic.Int64
	budgets   atomic.Pointer[budget.Rules]
}

// New checks the options. It does no I/O; Run does.
func New(o Options) (*Hub, error) {
	var missing []error
	for name, absent := range map[string]bool{
		"Store": o.Store == nil, "Scheduler": o.Scheduler == nil, "Publisher": o.Publisher == nil,
		"Routes": o.Routes == nil, "Logger": o.Logger == nil, "URLs": o.URLs.base == "",
	} {
		if absent {
			missing = append(missing, errors.New("hub: option "+name+" is missing"))
		}
	}
	if err := errors.Join(missing...); err != nil {
		return nil, err
	}
	o.SessionLifetime = cmp.Or(o.SessionLifetime, 14*24*time.Hour)
	o.Notebook.PlaceTimeout = cmp.Or(o.Notebook.PlaceTimeout, 2*time.Minute)
	o.Notebook.AnswerTimeout = cmp.Or(o.Notebook.AnswerTimeout, time.Minute)
	o.Notebook.QueueTimeout = cmp.Or(o.Notebook.QueueTimeout, time.Hour)
	o.Limits = o.Limits.withDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elect == nil {
		o.Elect = func(ctx context.Context, _ string, fn func(context.Context) error) error { return fn(ctx) }
	}
	if o.Probe == nil {
		o.Probe = newProbeClient()
	}
	h := &Hub{
		opts: o, store: o.Store, urls: o.URLs, log: o.Logger, now: o.Now,
		metrics: newMetrics(o.Registerer, o.Scheduler, o.Buckets), newcomers: make(newcomers, 1),
	}
	h.store = noticing{o.Store, h.recent.changed}
	if o.Profiles != nil {
		h.profiles.Store(&o.Profiles)
	}
	h.journals.init(h.rows.awaited)
	h.activity.init()
	h.watch.replica, h.culls = newID(), newCullMetrics(o.Registerer)
	h.auditor = newAuditor(o.Store, o.Logger, o.Registerer)
	h.SetAuditKeep(o.AuditKeep)
	h.culling.Store(o.Culling)
	h.cullNow = make(chan struct{}, 1)
	h.SetUsage(o.Usage)
	h.services.init(o.Registerer)
	h.admission.Store(&o.Admission)
	h.SetRoles(o.Roles)
	h.limits.Store(&o.Limits)
	h.control.init(h)
	h.volumes.init()
	h.queue.init(h)
	h.desk.init(h)
	h.rows.init(h)
	h.forecasts.init(h)
	return h, nil
}

// URLs returns the addresses of hub and servers.
func (h *Hub) URLs() URLs { return h.urls }

// Run looks after servers, activity and expiry until ctx ends. It returns when all that it started has ended, and what they did is written down.
func (h *Hub) Run(ctx context.Context) error {
	defer h.auditing(ctx)()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.control.run(gctx) })
	g.Go(func() error { return h.queue.run(gctx) })
	g.Go(func() error { return h.rows.run(gctx) })
	g.Go(func() error { return h.flushActivity(gctx) })
	g.Go(func() error { return h.watchServices(gctx) })
	if h.opts.ServiceRunner != nil {
		g.Go(func() error { return h.opts.Elect(gctx, "services", h.runServices) })
	}
	if h.opts.ServiceScheduler != nil {
		g.Go(func() error { return h.opts.Elect(gctx, "service-jobs", h.keepServiceJobs) })
	}
	g.Go(func() error { return h.opts.Elect(gctx, "purge", h.keepHouse) })
	g.Go(func() error { return h.opts.Elect(gctx, "volumes", h.keepVolumes) })
	g.Go(func() error { return h.opts.Elect(gctx, "cull", h.leadCulling) })
	g.Go(func() error { return h.opts.Elect(gctx, "usage", h.leadUsage) })
	g.Go(func() error { return h.opts.Elect(gctx, "images", h.keepWarm) })
	err := g.Wait()
	if h.takesServersAlong() {
		err = errors.Join(err, h.stopAll(context.WithoutCancel(ctx)))
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Ping tells whether the hub can do its work: the database answers.
func (h *Hub) Ping(ctx context.Context) error { return h.store.Ping(ctx) }
