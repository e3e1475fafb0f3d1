package hub_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/internal/cputime"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/static"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

// manyServers is a hub that does not run, with so many running servers on an SQLite file.
func manyServers(b *testing.B, many int, idleAfter time.Duration) *hub.Hub {
	b.Helper()
	db, err := store.Open(b.Context(), store.Options{DSN: "sqlite://" + filepath.Join(b.TempDir(), "hub.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	fake := schedulertest.NewFake()
	began := time.Now().Add(-time.Hour)
	err = db.InTx(b.Context(), func(tx hub.Store) error {
		for i := range many {
			u := hub.User{ID: uuid.Must(uuid.NewV7()).String(), Name: fmt.Sprintf("user-%d", i), Created: began}
			if i%2 == 0 {
				u.Groups = []string{"course", fmt.Sprintf("team-%d", i%50)}
			}
			s := hub.Server{
				ID: uuid.Must(uuid.NewV7()).String(), UserID: u.ID, State: hub.Ready, Generation: 1, Instance: "i", Address: "127.0.0.1:1",
				Created: began, Started: began, LastActivity: began, LastUsed: began, Held: &hub.Held{MemoryMB: 1024},
			}
			if err := tx.CreateUser(b.Context(), u); err != nil {
				return err
			}
			if err := tx.CreateServer(b.Context(), s); err != nil {
				return err
			}
			run := hub.UsageRun{ID: s.ID, ServerID: s.ID, UserID: u.ID, UserName: u.Name, Generation: 1, Instance: "i", MemoryMB: 1024, Began: began}
			if err := tx.OpenRun(b.Context(), run); err != nil {
				return err
			}
			fake.Adopt(scheduler.Spec{ID: s.ID, Generation: 1}, scheduler.Status{State: scheduler.Running, Instance: "i", Began: began})
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	registry := static.New()
	router, err := routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{{Name: "static", Source: registry}}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	h, err := hub.New(hub.Options{
		Store: db, Scheduler: fake, Publisher: registry, Routes: routes{router}, Logger: slog.New(slog.DiscardHandler),
		URLs: hub.NewURLs("/", nil, "http://127.0.0.1:8081"),
		Culling: &cull.Rules{
			Limits: cull.Limits{IdleAfter: idleAfter, Counts: cull.Counts{BusyKernels: true}}, Warning: time.Minute, Interval: time.Minute, Observe: time.Minute,
			Special: []cull.Special{{Name: "course", Groups: []string{"course"}, IdleAfter: idleAfter + time.Minute}},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

// perCore reports the processor time of each round beside the time that passed, which says little on a busy machine.
func perCore(b *testing.B, round func() error) {
	b.Helper()
	begun := cputime.Used(b)
	for b.Loop() {
		if err := round(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cputime.Used(b)-begun)/float64(b.N)/1e6, "cpu-ms/op")
}

// BenchmarkCullPass is operation 16 of the performance goals: a pass over 10,000 running servers, without the questions to servers. In the worst case each
// of them is past the first test and has to be decided about.
func BenchmarkCullPass(b *testing.B) {
	for name, idleAfter := range map[string]time.Duration{"used": 24 * time.Hour, "idle": 30 * time.Minute} {
		b.Run(name, func(b *testing.B) {
			h := manyServers(b, 10_000, idleAfter)
			perCore(b, func() error { return h.CullPass(b.Context()) })
		})
	}
}

// BenchmarkCompareUsage compares the ledger with 10,000 running servers, as is done once a minute.
func BenchmarkCompareUsage(b *testing.B) {
	h := manyServers(b, 10_000, time.Hour)
	perCore(b, func() error { return h.CompareUsage(b.Context()) })
}
