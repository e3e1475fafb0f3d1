package hub_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// walk is a random walk over what clients may ask of a few servers. After each round of requests at once, one more for each server is the last accepted
// wish, and when the dust has settled the world is as it says.
type walk struct {
	*bench
	r       *rand.Rand
	servers []string
	ids     map[string]int64 // the highest generation seen, by ID
}

// wish is what one client asks for.
type wish struct {
	name string
	ask  func(ctx context.Context, h *hub.Hub, server string) error
	// leads is the state that the server has in the end if this was the last accepted wish; gone: there is no record.
	leads hub.ServerState
	gone  bool
}

const walker = "walker"

func wishes() []wish {
	stop := func(remove bool) func(context.Context, *hub.Hub, string) error {
		return func(ctx context.Context, h *hub.Hub, server string) error {
			_, err := h.StopServer(ctx, walker, server, remove)
			return err
		}
	}
	return []wish{
		{name: "start", leads: hub.Ready, ask: func(ctx context.Context, h *hub.Hub, server string) error {
			_, err := h.StartServer(ctx, walker, server, nil)
			return err
		}},
		{name: "queued start", leads: hub.Ready, ask: func(ctx context.Context, h *hub.Hub, server string) error {
			_, err := h.Start(ctx, hub.StartRequest{User: walker, Server: server, Queue: true})
			return err
		}},
		{name: "restart", leads: hub.Ready, ask: func(ctx context.Context, h *hub.Hub, server string) error {
			_, err := h.RestartServer(ctx, hub.StartRequest{User: walker, Server: server, Queue: true})
			return err
		}},
		{name: "stop", leads: hub.Stopped, ask: stop(false)},
		{name: "remove", leads: hub.Stopped, gone: true, ask: stop(true)},
	}
}

func TestF07_RandomWalkEndsInTheLastWish(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	hubs := twoHubs(t, func(o *hub.Options) { o.Limits.AllowNamed = true })
	addresses := map[string]string{"one": notebook(t), "two": notebook(t), "three": notebook(t)}
	for _, b := range hubs {
		b.fake.OnStart = func(s scheduler.Spec) {
			go func() { hubs[0].fake.Place(s.ID, addresses[s.Labels["server"]]); hubs[0].fake.Run(s.ID) }()
		}
	}
	hubs[0].login(walker)
	w := &walk{
		bench: hubs[0], r: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // a test's dice
		servers: []string{"one", "two", "three"}, ids: map[string]int64{},
	}
	end := time.Now().Add(10 * time.Second)
	rounds := 0
	for ; rounds < 5 || time.Now().Before(end) && rounds < 200; rounds++ {
		w.crowd(hubs[:])
		for _, server := range w.servers {
			w.last(hubs[w.r.IntN(2)], server)
		}
		if t.Failed() {
			t.Fatalf("after %d rounds", rounds)
		}
	}
	t.Logf("%d rounds", rounds)
	w.clean()
}

// crowd has four clients ask for something at once, several times.
func (w *walk) crowd(hubs []*bench) {
	w.t.Helper()
	all := wishes()
	var wg sync.WaitGroup
	for range 4 {
		type request struct {
			h      *hub.Hub
			wish   wish
			server string
		}
		var list []request
		for range 1 + w.r.IntN(4) {
			list = append(list, request{hubs[w.r.IntN(len(hubs))].hub, all[w.r.IntN(len(all))], w.servers[w.r.IntN(len(w.servers))]})
		}
		wg.Go(func() {
			for _, q := range list {
				switch err := q.wish.ask(w.t.Context(), q.h, q.server); hub.KindOf(err) {
				case hub.Conflict, hub.NotFound: // what is under way does not allow it, or it is gone already
				default:
					if err != nil {
						w.t.Errorf("%s of %s: %v", q.wish.name, q.server, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// last asks until it is accepted, and checks that the world comes to be as was asked.
func (w *walk) last(b *bench, server string) {
	w.t.Helper()
	all := wishes()
	q := all[w.r.IntN(len(all))]
	until(w.t, q.name+" to be accepted", func() bool {
		err := q.ask(w.t.Context(), b.hub, server)
		now, lookErr := b.hub.Server(w.t.Context(), walker, server)
		switch {
		case err == nil:
			return true
		case hub.KindOf(err) == hub.NotFound:
			return q.leads == hub.Stopped // what is gone is stopped
		case hub.KindOf(err) == hub.Conflict: // a start of what runs has what it wants
			return q.leads == hub.Ready && lookErr == nil && now.State == hub.Ready
		}
		w.t.Errorf("%s of %s: %v", q.name, server, err)
		return true
	})
	var s hub.Server
	until(w.t, server+" to be as was asked for with "+q.name, func() bool {
		var err error
		s, err = b.hub.Server(w.t.Context(), walker, server)
		if hub.KindOf(err) == hub.NotFound {
			s = hub.Server{}
			return q.leads == hub.Stopped
		}
		return err == nil && s.State == q.leads && !q.gone
	})
	w.check(s)
}

// check compares the row of a server at rest with the scheduler.
func (w *walk) check(s hub.Server) {
	w.t.Helper()
	if s.ID == "" || s.State == hub.Stopped {
		return // that nothing is left of it is looked at in the end
	}
	if s.Generation < w.ids[s.ID] {
		w.t.Errorf("generations of %s went back from %d to %d", s.Name, w.ids[s.ID], s.Generation)
	}
	w.ids[s.ID] = s.Generation
	if spec, ok := w.fake.Spec(s.ID); !ok || spec.Generation != s.Generation {
		w.t.Errorf("the row is of generation %d, and the scheduler runs %d (%v)", s.Generation, spec.Generation, ok)
	}
	if s.Failure != nil {
		w.t.Errorf("%s is ready and failed: %+v", s.Name, s.Failure)
	}
}

// clean stops everything, and looks whether anything is left; then every name can be used again.
func (w *walk) clean() {
	w.t.Helper()
	for _, server := range w.servers {
		if _, err := w.hub.StopServer(w.t.Context(), walker, server, true); err != nil && hub.KindOf(err) != hub.NotFound {
			w.t.Error(err)
		}
	}
	until(w.t, "everything to be gone", func() bool {
		left, _, err := w.store.Servers(w.t.Context(), hub.ServerQuery{})
		running, err2 := w.fake.List(w.t.Context())
		return err == nil && err2 == nil && len(left) == 0 && len(running) == 0
	})
	u, err := w.hub.UserByName(w.t.Context(), walker)
	if err != nil {
		w.t.Fatal(err)
	}
	tokens, err := w.store.Tokens(w.t.Context(), u.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	if slices.ContainsFunc(tokens, func(k hub.Token) bool { return k.ServerID != "" }) {
		w.t.Errorf("tokens of servers are left: %d", len(tokens))
	}
	for _, server := range w.servers {
		w.awaitState(w.start(walker, server).ID, hub.Ready)
	}
}
