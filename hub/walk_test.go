package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/checker/hubcalls"
	"github.com/nomadhub/nomadhub/scheduler"
)

// walk is a random walk over what clients may ask of a few servers, their owners included. After each round of requests at once, one more for each server
// is the last accepted wish, and when the dust has settled the world is as it says. All answers go into a history that a model has to explain.
type walk struct {
	*bench
	r       *rand.Rand
	hubs    []*hub.Hub
	history *checker.History
	highest map[string]int64 // the highest generation seen, by ID
	gone    map[string]bool  // IDs of users who were deleted
	wishes  int              // that were accepted
}

// whose is one of the servers.
type whose struct{ user, server string }

// walked are the servers, of two users: one has a default server and a named one, the other a named one of the same name.
func walked() []whose { return []whose{{"ada", ""}, {"ada", "lab"}, {"bob", "lab"}} }

// wish is what one client asks for.
type wish struct {
	name string
	ask  func(ctx context.Context, h hubcalls.Hub, of whose) error
	// leads is the state that the server has in the end if this was the last accepted wish; gone: there is no record. Its profile is then that one; "": any.
	leads   hub.ServerState
	gone    bool
	profile string
}

// does tells whether the wish can be asked of the server.
func (q wish) does(of whose) bool { return !q.gone || of.server != "" }

func wishes() []wish {
	stop := func(remove bool) func(context.Context, hubcalls.Hub, whose) error {
		return func(ctx context.Context, h hubcalls.Hub, of whose) error {
			_, err := h.StopServer(ctx, of.user, of.server, remove)
			return err
		}
	}
	restart := func(profile string) func(context.Context, hubcalls.Hub, whose) error {
		return func(ctx context.Context, h hubcalls.Hub, of whose) error {
			r := hub.StartRequest{User: of.user, Server: of.server, Queue: true}
			if profile != "" {
				r.Options = json.RawMessage(`{"profile": "` + profile + `"}`)
			}
			_, err := h.RestartServer(ctx, r)
			return err
		}
	}
	return []wish{
		{name: "start", leads: hub.Ready, ask: func(ctx context.Context, h hubcalls.Hub, of whose) error {
			_, err := h.StartServer(ctx, of.user, of.server, nil)
			return err
		}},
		{name: "queued start", leads: hub.Ready, ask: func(ctx context.Context, h hubcalls.Hub, of whose) error {
			_, err := h.Start(ctx, hub.StartRequest{User: of.user, Server: of.server, Queue: true, Options: json.RawMessage(`{"profile": "large"}`)})
			return err
		}},
		{name: "restart", leads: hub.Ready, ask: restart("")},
		{name: "restart as small", leads: hub.Ready, profile: "small", ask: restart("small")},
		{name: "restart as large", leads: hub.Ready, profile: "large", ask: restart("large")},
		{name: "stop", leads: hub.Stopped, ask: stop(false)},
		{name: "remove", leads: hub.Stopped, gone: true, ask: stop(true)},
	}
}

// walkVariable is for how long the walk goes on, such as 10m; by default it is some seconds.
const walkVariable = "NOMADHUB_TEST_WALK"

func TestF07_RandomWalkEndsInTheLastWish(t *testing.T) {
	t.Parallel()
	least, most, during := 5, 150, 10*time.Second
	if text := os.Getenv(walkVariable); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		most = 1 << 30
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	hubs := twoHubs(t, withMenu, func(o *hub.Options) { o.Notebook.PlaceTimeout, o.Notebook.AnswerTimeout = time.Hour, time.Hour })
	addresses := map[whose]string{}
	for _, of := range walked() {
		addresses[of] = notebook(t) // two servers cannot be at one address
	}
	for _, b := range hubs {
		b.fake.OnStart = func(s scheduler.Spec) {
			go func() {
				hubs[0].fake.Place(s.ID, addresses[whose{s.Labels["user"], s.Labels["server"]}])
				hubs[0].fake.Run(s.ID)
			}()
		}
	}
	w := &walk{
		bench: hubs[0], r: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // a test's dice
		hubs: []*hub.Hub{hubs[0].hub, hubs[1].hub}, highest: map[string]int64{}, gone: map[string]bool{},
	}
	end := time.Now().Add(during)
	rounds := 0
	for ; rounds < least || time.Now().Before(end) && rounds < most; rounds++ {
		if rounds%50 == 0 { // a history is judged before it becomes long
			w.begin(rounds)
		}
		w.crowd()
		if w.r.IntN(4) == 0 {
			w.deleteUser(walked()[w.r.IntN(3)].user)
		}
		for _, of := range walked() {
			w.last(of)
		}
		if t.Failed() {
			t.Fatalf("after %d rounds", rounds)
		}
	}
	t.Logf("%d rounds, %d wishes accepted, %d users deleted", rounds, w.wishes, len(w.gone))
	w.begin(rounds)
	for _, of := range walked() { // every name can be used again
		if _, err := w.client(0, "last").StartServer(t.Context(), of.user, of.server, nil); err != nil {
			t.Error(err)
		}
		w.settle(of, wish{name: "start", leads: hub.Ready})
	}
	w.history.Verify(t)
}

// begin clears the table, and begins another history.
func (w *walk) begin(round int) {
	w.t.Helper()
	if w.history != nil {
		w.clean()
		w.history.Verify(w.t)
	}
	w.history = checker.New(checker.Options{Model: checker.Model{Steady: true}})
	for _, name := range []string{"ada", "bob"} {
		if _, err := w.hubs[round%2].CreateUser(w.t.Context(), name, false); err != nil && hub.KindOf(err) != hub.Conflict {
			w.t.Fatal(err)
		}
	}
}

func (w *walk) client(at int, name string) hubcalls.Hub {
	return hubcalls.Hub{Hub: w.hubs[at], History: w.history, Client: fmt.Sprintf("%s@%d", name, at)}
}

// crowd has four clients ask for something at once, several times. One of them may ask for a user to be deleted, and makes a new one of the name.
func (w *walk) crowd() {
	w.t.Helper()
	all := wishes()
	var wg sync.WaitGroup
	for i := range 4 {
		type request struct {
			h    hubcalls.Hub
			wish wish
			of   whose
		}
		var list []request
		for range 1 + w.r.IntN(4) {
			q := request{w.client(w.r.IntN(2), fmt.Sprint("client-", i)), all[w.r.IntN(len(all))], walked()[w.r.IntN(3)]}
			switch {
			case w.r.IntN(12) == 0:
				q.wish = wish{name: "delete the user", ask: func(ctx context.Context, h hubcalls.Hub, of whose) error { return w.replace(ctx, h, of.user) }}
			case !q.wish.does(q.of):
				continue
			}
			list = append(list, q)
		}
		wg.Go(func() {
			for _, q := range list {
				switch err := q.wish.ask(w.t.Context(), q.h, q.of); hub.KindOf(err) {
				case hub.Conflict, hub.NotFound: // what is under way does not allow it, or it is gone already
				default:
					if err != nil {
						w.t.Errorf("%s of %v: %v", q.wish.name, q.of, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// replace deletes a user, if none of their servers is active, and makes a new one of the name.
func (w *walk) replace(ctx context.Context, h hubcalls.Hub, user string) error {
	if err := h.DeleteUser(ctx, user); err != nil {
		return err
	}
	_, err := h.CreateUser(ctx, user, false)
	return err
}

// deleteUser asks for the end of all servers of a user who is then deleted, as soon as that is possible. Nothing of them is left, and the name is free.
func (w *walk) deleteUser(name string) {
	w.t.Helper()
	h := w.client(w.r.IntN(2), "admin")
	u, err := h.UserByName(w.t.Context(), name)
	if err != nil {
		w.t.Error(err)
		return
	}
	for _, of := range walked() {
		if of.user != name {
			continue
		}
		if _, err := h.StopServer(w.t.Context(), name, of.server, false); err != nil && hub.KindOf(err) != hub.NotFound {
			w.t.Errorf("stop of %v: %v", of, err)
		}
	}
	until(w.t, name+" to be deleted", func() bool {
		err := h.DeleteUser(w.t.Context(), name)
		if err != nil && hub.KindOf(err) != hub.Conflict {
			w.t.Errorf("delete %s: %v", name, err)
		}
		return err == nil || w.t.Failed()
	})
	w.gone[u.ID] = true
	w.nothingOf(u.ID)
	if _, err := w.hubs[w.r.IntN(2)].CreateUser(w.t.Context(), name, false); err != nil {
		w.t.Errorf("the name %s is not free: %v", name, err)
	}
}

// nothingOf looks for what is left of a user who was deleted.
func (w *walk) nothingOf(id string) {
	w.t.Helper()
	rows, _, err := w.store.Servers(w.t.Context(), hub.ServerQuery{UserIDs: []string{id}})
	if err != nil || len(rows) > 0 {
		w.t.Errorf("servers of a deleted user: %+v, %v", rows, err)
	}
	tokens, err := w.store.Tokens(w.t.Context(), id)
	if err != nil || len(tokens) > 0 {
		w.t.Errorf("tokens of a deleted user: %d, %v", len(tokens), err)
	}
	until(w.t, "no job of a deleted user to be left", func() bool { // one whose start was on its way is ended as soon as it is there
		running, err := w.fake.List(w.t.Context())
		return err == nil && !slices.ContainsFunc(running, func(st scheduler.Status) bool {
			spec, ok := w.fake.Spec(st.ID)
			return ok && spec.Home == id
		})
	})
}

// last asks until it is accepted, and checks that the world comes to be as was asked.
func (w *walk) last(of whose) {
	w.t.Helper()
	all := slices.DeleteFunc(wishes(), func(q wish) bool { return !q.does(of) })
	q := all[w.r.IntN(len(all))]
	h := w.client(w.r.IntN(2), "last")
	until(w.t, q.name+" to be accepted", func() bool {
		err := q.ask(w.t.Context(), h, of)
		now, lookErr := h.Server(w.t.Context(), of.user, of.server)
		switch {
		case err == nil:
			return true
		case hub.KindOf(err) == hub.NotFound:
			return q.leads == hub.Stopped // what is gone is stopped
		case hub.KindOf(err) == hub.Conflict: // a start of what runs has what it wants
			return q.leads == hub.Ready && q.profile == "" && lookErr == nil && now.State == hub.Ready
		}
		w.t.Errorf("%s of %v: %v", q.name, of, err)
		return true
	})
	w.wishes++
	w.settle(of, q)
}

// settle waits until the world is as a wish says that was the last one.
func (w *walk) settle(of whose, q wish) {
	w.t.Helper()
	h := w.client(w.r.IntN(2), "watch")
	var s hub.Server
	until(w.t, fmt.Sprintf("%v to be as was asked for with %s", of, q.name), func() bool {
		var err error
		s, err = h.Server(w.t.Context(), of.user, of.server)
		if hub.KindOf(err) == hub.NotFound {
			s = hub.Server{}
			return q.leads == hub.Stopped
		}
		return err == nil && s.State == q.leads && !q.gone
	})
	w.check(s, q)
}

// check compares the row of a server at rest with the scheduler.
func (w *walk) check(s hub.Server, q wish) {
	w.t.Helper()
	if s.ID == "" || s.State == hub.Stopped {
		return // that nothing is left of it is looked at in the end
	}
	if s.Generation < w.highest[s.ID] {
		w.t.Errorf("generations of %s went back from %d to %d", s.Name, w.highest[s.ID], s.Generation)
	}
	w.highest[s.ID] = s.Generation
	spec, ok := w.fake.Spec(s.ID)
	if !ok || spec.Generation != s.Generation || spec.Home != s.UserID {
		w.t.Errorf("the row is of generation %d, and the scheduler runs %d (%v)", s.Generation, spec.Generation, ok)
	}
	if large := spec.Resources.Cores > 0; large != (s.Profile == "large") || q.profile != "" && s.Profile != q.profile {
		w.t.Errorf("after %s the row has the profile %q, and the job is large: %v", q.name, s.Profile, large)
	}
	if s.Failure != nil || w.gone[s.UserID] {
		w.t.Errorf("%s of %s is ready and failed, or its owner is gone: %+v", s.Name, s.UserID, s.Failure)
	}
}

// clean stops everything, and looks whether anything is left; then the users go, and everything of theirs.
func (w *walk) clean() {
	w.t.Helper()
	h := w.client(0, "clean")
	for _, of := range walked() {
		if _, err := h.StopServer(w.t.Context(), of.user, of.server, of.server != ""); err != nil && hub.KindOf(err) != hub.NotFound {
			w.t.Error(err)
		}
	}
	until(w.t, "everything to be gone", func() bool {
		left, _, err := w.store.Servers(w.t.Context(), hub.ServerQuery{})
		running, err2 := w.fake.List(w.t.Context())
		rest := slices.DeleteFunc(left, func(s hub.Server) bool { return s.Name == "" && s.State == hub.Stopped })
		return err == nil && err2 == nil && len(rest) == 0 && len(running) == 0
	})
	users, _, err := w.hub.Users(w.t.Context(), hub.UserQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range users {
		if err := h.DeleteUser(w.t.Context(), u.Name); err != nil {
			w.t.Error(err)
		}
		w.gone[u.ID] = true
	}
	for id := range maps.Keys(w.gone) {
		w.nothingOf(id)
	}
	until(w.t, "no route to be left", func() bool { return w.router.Table().Len() == 0 })
}
