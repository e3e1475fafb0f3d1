package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
)

// reloadInterval is how often the configuration's files are looked at. One look is one stat for each file.
const reloadInterval = time.Second

// livePart is a part of the hub that takes a new configuration while it runs.
type livePart struct {
	name string
	// covers tells which options the part takes over, by their names in [config.Differences].
	covers func(option string) bool
	// apply hands the configuration over. An error means that the part goes on with the one before.
	apply func(context.Context, loaded) error
}

// loaded is a configuration that was found good, with what belongs to it in other files.
type loaded struct {
	config.Config
	profiles *profile.Set
	jobspecs map[string]string // of profiles, by name
}

// withProfiles reads what the profiles of a configuration stand for.
func withProfiles(cfg config.Config, environ []string) (loaded, error) {
	set, jobspecs, err := decodeProfiles(cfg, environ)
	return loaded{cfg, set, jobspecs}, err
}

// reloader reads the configuration again when a file changes or the process gets SIGHUP, and hands it to the parts that can take it.
//
//	file changed ─► settled? ─► read and check everything ─► bad: log its line, keep the old one
//	SIGHUP ─────────────────────►                          └► good: hand over; name what needs a restart
type reloader struct {
	paths  []string
	load   func() (loaded, error)
	hangup chan os.Signal
	every  time.Duration

	log     *slog.Logger
	valid   prometheus.Gauge
	pending prometheus.Gauge
	reloads *prometheus.CounterVec

	parts   []livePart
	started config.Config // what the hub began with
	current config.Config // what was read last and was good
	held    string        // what its files held then
	// jobspecs are files that belong to it beside its own, with what they held.
	jobspecs map[string]string
	inForce  loaded
}

// newReloader notes what the files hold before they are read for the first time. The function load reads the whole configuration and refuses a bad one.
func newReloader(paths []string, load func() (loaded, error)) *reloader {
	r := &reloader{paths: paths, load: load, hangup: make(chan os.Signal, 1), every: reloadInterval}
	r.held = config.Fingerprint(paths)
	return r
}

// onHangup begins to catch SIGHUP, before anything else: one that comes while the hub starts must not end it. A hub that belongs to a terminal does not
// call it, and ends with the terminal.
func (r *reloader) onHangup() *reloader {
	signal.Notify(r.hangup, syscall.SIGHUP)
	return r
}

// prepare says with what the hub started and who takes changes.
func (r *reloader) prepare(now loaded, log *slog.Logger, registerer prometheus.Registerer, parts ...livePart) {
	r.started, r.log, r.parts = now.Config, log, parts
	r.keep(now)
	r.valid = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nomadhub_config_valid", Help: "1 if the configuration that was read last is in force, 0 if it was refused.",
	})
	r.pending = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "nomadhub_config_restart_needed", Help: "How many changed options wait for a restart.",
	})
	r.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "nomadhub_config_reloads_total", Help: "How often the configuration was read again while the hub ran.",
	}, []string{"result"})
	for _, result := range []string{"applied", "refused", "unchanged"} {
		r.reloads.WithLabelValues(result)
	}
	r.valid.Set(1)
	registerer.MustRegister(r.valid, r.pending, r.reloads)
}

// run watches until ctx ends.
func (r *reloader) run(ctx context.Context) error {
	defer signal.Stop(r.hangup)
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	seen := ""        // so that what was written since the start is noticed
	settling := false // files changed at the last look, and may still be written
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.hangup:
			r.reread(ctx, "signal")
			continue
		case <-ticker.C:
		}
		now := config.Glance(r.paths, slices.Sorted(maps.Keys(r.jobspecs)))
		if now == seen && settling && r.stale() {
			r.reread(ctx, "file")
		}
		seen, settling = now, now != seen
	}
}

// stale tells whether a file holds something else than what was read.
func (r *reloader) stale() bool {
	for file, text := range r.jobspecs {
		if now, err := os.ReadFile(file); err != nil || string(now) != text {
			return true
		}
	}
	return config.Fingerprint(r.paths) != r.held
}

// reread notes what the files hold before they are read, so that one which is written meanwhile is read once more.
func (r *reloader) reread(ctx context.Context, why string) {
	r.held = config.Fingerprint(r.paths)
	r.reload(ctx, why)
}

// keep remembers what is in force.
func (r *reloader) keep(now loaded) {
	r.current, r.jobspecs, r.inForce = now.Config, map[string]string{}, now
	for name, file := range now.profiles.Templates() {
		r.jobspecs[file] = now.jobspecs[name]
	}
}

// reload reads everything and puts it in force, or says why not.
func (r *reloader) reload(ctx context.Context, why string) {
	next, err := r.load()
	if err != nil {
		r.refuse(ctx, why, err)
		return
	}
	changed := config.Differences(r.current, next.Config)
	for i, part := range r.parts {
		if err := part.apply(ctx, next); err != nil {
			r.refuse(ctx, why, errors.Join(fmt.Errorf("%s: %w", part.name, err), r.takeBack(ctx, r.parts[:i])))
			return
		}
	}
	r.keep(next)
	r.log.InfoContext(ctx, "configuration read again", "why", why, "changed", changed)
	waiting := r.waiting(next.Config)
	if len(waiting) > 0 {
		r.log.WarnContext(ctx, "changed options take effect after a restart of the hub", "options", waiting)
	}
	result := "applied"
	if len(changed) == 0 {
		result = "unchanged"
	}
	r.valid.Set(1)
	r.pending.Set(float64(len(waiting)))
	r.reloads.WithLabelValues(result).Inc()
}

// takeBack hands parts that took a configuration the one before, since another part refused it.
func (r *reloader) takeBack(ctx context.Context, parts []livePart) error {
	var errs []error
	for _, part := range parts {
		if err := part.apply(ctx, r.inForce); err != nil {
			errs = append(errs, fmt.Errorf("%s: the configuration before could not be put back: %w", part.name, err))
		}
	}
	return errors.Join(errs...)
}

// refuse keeps what is in force.
func (r *reloader) refuse(ctx context.Context, why string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.log.ErrorContext(ctx, "new configuration refused; the one before stays in force", "why", why, "err", line)
	}
	r.valid.Set(0)
	r.reloads.WithLabelValues("refused").Inc()
}

// waiting are the options that differ from what the hub started with and that nobody takes while it runs.
func (r *reloader) waiting(next config.Config) []string {
	var names []string
	for _, option := range config.Differences(r.started, next) {
		live := false
		for _, part := range r.parts {
			live = live || part.covers(option)
		}
		if !live {
			names = append(names, option)
		}
	}
	return names
}

// covering tells whether an option is one of these, or in one of these blocks.
func covering(names ...string) func(string) bool {
	return func(option string) bool {
		for _, name := range names {
			if option == name || strings.HasPrefix(option, name+".") {
				return true
			}
		}
		return false
	}
}

// profilesOf are the profiles as the hub takes them: none at all if there is none.
func profilesOf(l loaded) hub.Profiles {
	if len(l.profiles.Names()) == 0 {
		return nil
	}
	return l.profiles
}

func admission(c config.Login) hub.Admission {
	return hub.Admission{
		AllowAll: c.AllowAll, AllowedUsers: normalized(c.AllowedUsers), AllowedGroups: c.AllowedGroups,
		BlockedUsers: normalized(c.BlockedUsers), AdminUsers: normalized(c.AdminUsers),
	}
}

func hubLimits(c config.Limits) hub.Limits {
	l := hub.Limits{
		AllowNamed: c.NamedServers, NamedServers: c.NamedPerUser, ServersPerUser: c.ServersPerUser,
		ConcurrentStarts: c.ConcurrentStarts, ActiveServers: c.ActiveServers, QueuedStarts: c.QueuedStarts,
		TokenLifetime: time.Duration(c.TokenSeconds) * time.Second,
		Groups:        map[string]hub.GroupLimits{},
	}
	for _, g := range c.Groups {
		l.Groups[g.Name] = hub.GroupLimits{
			ActiveServers: g.ActiveServers, ConcurrentStarts: g.ConcurrentStarts, NamedServers: g.NamedPerUser, ServersPerUser: g.ServersPerUser,
		}
	}
	return l
}

// jobspecTaker is a scheduler that begins some servers with jobspecs of their own.
type jobspecTaker interface {
	SetJobspecs(named map[string]string) error
}

// liveParts are what takes a new configuration without a restart.
func (a *assembly) liveParts() []livePart {
	return []livePart{
		{"log", covering("log.level"), func(_ context.Context, l loaded) error {
			if a.level != nil {
				setLevel(a.level, *l.Log)
			}
			return nil
		}},
		{"login", covering("login.allow_all", "login.public", "login.allowed_users", "login.allowed_groups", "login.blocked_users", "login.admin_users"),
			func(_ context.Context, l loaded) error {
				a.hub.SetAdmission(admission(*l.Login))
				return nil
			}},
		{"limits", covering("limits"), func(_ context.Context, l loaded) error {
			a.hub.SetLimits(hubLimits(*l.Limits))
			a.throttle.Set(l.Limits.RequestsPerSecond, l.Limits.RequestBurst)
			a.guesses.Set(l.Limits.WrongPerName, l.Limits.WrongPerAddress)
			return nil
		}},
		{"roles", covering("role", "scope"), func(_ context.Context, l loaded) error {
			policy, err := rolePolicy(l.Config)
			if err == nil {
				a.hub.SetRoles(policy)
			}
			return err
		}},
		// After the roles, whose scopes they use.
		{"services", covering("service"), func(ctx context.Context, l loaded) error { return a.services.apply(ctx, l.Services) }},
		{"culling", covering("culling"), func(_ context.Context, l loaded) error {
			rules, err := cullRules(*l.Culling)
			if err == nil {
				a.hub.SetCulling(rules)
			}
			return err
		}},
		{"audit", covering("audit"), func(_ context.Context, l loaded) error {
			a.hub.SetAuditKeep(l.Audit.Keep.Value())
			return nil
		}},
		{"events", covering("events"), func(_ context.Context, l loaded) error { // also when nothing has changed: the file may have been rotated
			return a.events.open(l.Events.File)
		}},
		{"usage", covering("usage"), func(_ context.Context, l loaded) error {
			rules, err := usageRules(*l.Usage)
			if err == nil {
				a.hub.SetUsage(rules)
			}
			return err
		}},
		{"profiles", covering("profile", "profile_defaults"), func(_ context.Context, l loaded) error {
			if s, ok := a.scheduler.(jobspecTaker); ok { // before the profiles that name them
				if err := s.SetJobspecs(l.jobspecs); err != nil {
					return err
				}
			}
			a.hub.SetProfiles(profilesOf(l))
			a.adviser.tell(l)
			return nil
		}},
	}
}
