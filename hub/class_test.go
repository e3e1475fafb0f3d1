package hub_test

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
	"github.com/nomadhub/nomadhub/store"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestAClassStartsAtOnce has everybody of a class press the button in the same second, on the database of a cluster. Nobody is refused, though every start
// looks at how many there are.
func TestAClassStartsAtOnce(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), store.Options{DSN: pgtest.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const students = 80
	b := openBench(t, db, schedulertest.NewFake(), func(o *hub.Options) { o.Limits.ConcurrentStarts = students })
	b.fake.OnStart = func(s scheduler.Spec) {
		address := notebook(t)
		go func() { b.fake.Place(s.ID, address); b.fake.Run(s.ID) }()
	}
	for i := range students {
		b.login(fmt.Sprintf("student-%d", i))
	}
	gate := make(chan struct{})
	ids := make([]string, students)
	var wg sync.WaitGroup
	for i := range students {
		wg.Go(func() {
			<-gate
			s, err := b.hub.StartServer(t.Context(), fmt.Sprintf("student-%d", i), "", nil)
			if err != nil {
				t.Errorf("student %d: %v", i, err)
			}
			ids[i] = s.ID
		})
	}
	close(gate)
	wg.Wait()
	if t.Failed() {
		return
	}
	for _, id := range ids {
		b.awaitState(id, hub.Ready)
	}
}
