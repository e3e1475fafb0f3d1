// Command mortal is a hub that tests kill: the real core on a real database, on the cluster of a test; see package wire. Built with the tag "failpoints" it dies
// at the point that NOMADHUB_FAILPOINT names.
//
//	mortal <socket> <database> [<settings as JSON>]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/internal/hubtest/wire"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "mortal:", err)
		os.Exit(1)
	}
}

// settings are what tests choose.
type settings struct {
	ActiveServers int           // the hub's limit
	MaxAge        time.Duration // of servers
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("a socket and a database are needed")
	}
	var s settings
	if len(args) > 2 {
		if err := json.Unmarshal([]byte(args[2]), &s); err != nil {
			return err
		}
	}
	world, err := wire.Dial(args[0])
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{DSN: args[1]})
	if err != nil {
		return err
	}
	defer db.Close()
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelInfo}))
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "world", Source: world}}, Logger: log})
	if err != nil {
		return err
	}
	o := hub.Options{
		Store: db, Scheduler: world, Publisher: world, Routes: routes{router}, Logger: log, URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081"),
		Admission: hub.Admission{AllowAll: true}, Limits: hub.Limits{AllowNamed: true, ActiveServers: s.ActiveServers}, Profiles: menu{},
		Notebook: hub.Notebook{PlaceTimeout: time.Hour, AnswerTimeout: time.Hour},
	}
	if s.MaxAge > 0 {
		o.Culling = &cull.Rules{Limits: cull.Limits{MaxAge: s.MaxAge}, Interval: 100 * time.Millisecond}
	}
	o.Usage.Interval = 100 * time.Millisecond
	h, err := hub.New(o)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return router.Run(ctx) })
	g.Go(func() error { return h.Run(ctx) })
	g.Go(func() error {
		return world.Orders(ctx, func(ctx context.Context, c wire.Command) wire.Answer { return obey(ctx, h, c) })
	})
	return g.Wait()
}

type routes struct{ *routing.Router }

func (routes) TakeActivity() []routing.Activity { return nil }

// obey does what the test asks for.
func obey(ctx context.Context, h *hub.Hub, c wire.Command) wire.Answer {
	r := hub.StartRequest{User: c.User, Server: c.Server, Queue: c.Op == "queue"}
	if c.Options != "" {
		r.Options = json.RawMessage(c.Options)
	}
	var s hub.Server
	var err error
	switch c.Op {
	case "start", "queue":
		s, err = h.Start(ctx, r)
	case "restart":
		s, err = h.RestartServer(ctx, r)
	case "stop":
		s, err = h.StopServer(ctx, c.User, c.Server, false)
	case "await":
		if s, err = h.Server(ctx, c.User, c.Server); err == nil && s.ID != "" {
			s, err = h.AwaitServer(ctx, s.ID, func(s hub.Server) bool { return s.State == c.State })
		}
	default:
		err = fmt.Errorf("nobody knows how to %s", c.Op)
	}
	a := wire.Answer{ID: s.ID, Profile: s.Profile, State: s.State, Generation: s.Generation}
	if s.Failure != nil {
		a.Failure = s.Failure.Message
	}
	if err != nil {
		a.Error, a.Kind = err.Error(), hub.KindOf(err)
	}
	return a
}

// menu offers two profiles that keep the same files.
type menu struct{}

// names of the profiles, the default one first.
func (menu) names() []string { return []string{"small", "large"} }

// Forms implements [hub.Profiles].
func (m menu) Forms(profile.User, profile.Server) []profile.Form {
	var forms []profile.Form
	for i, name := range m.names() {
		forms = append(forms, profile.Form{Name: name, DisplayName: name, Default: i == 0})
	}
	return forms
}

// Resolve implements [hub.Profiles].
func (m menu) Resolve(_ profile.User, _ profile.Server, options json.RawMessage) (profile.Resolved, error) {
	chosen := struct {
		Profile string `json:"profile"`
	}{m.names()[0]}
	if options != nil {
		if err := json.Unmarshal(options, &chosen); err != nil {
			return profile.Resolved{}, &profile.InvalidError{Reason: "The options are not what they should be."}
		}
	}
	if !slices.Contains(m.names(), chosen.Profile) {
		return profile.Resolved{}, &profile.InvalidError{Field: "profile", Reason: "There is no such profile."}
	}
	text, err := json.Marshal(chosen)
	return profile.Resolved{Profile: chosen.Profile, Options: text, Resources: scheduler.Resources{CPU: 1000, MemoryMB: 512}, Volumes: []profile.Claim{{
		Name: "home", Share: profile.ShareUser, Grace: time.Hour,
		Volume: scheduler.Volume{Kind: scheduler.MountDynamic, MaxMB: 100},
		Mount:  scheduler.Mount{Name: "home", Kind: scheduler.MountDynamic, Path: "/home"},
	}}}, err
}

// Larger implements [hub.Profiles].
func (menu) Larger(profile.User, profile.Server, json.RawMessage) (json.RawMessage, bool) {
	return nil, false
}
