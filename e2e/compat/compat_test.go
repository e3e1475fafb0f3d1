// Package compat sends the same requests to a stock JupyterHub and to this project's hub, and compares what they answer: status, the headers that matter, and
// bodies after masking IDs, times and secrets.
//
// The requests stand in tables, one file for each resource (table_*_test.go). What is meant to differ stands in differences_test.go, each with its reason; an
// entry that no longer differs fails the test, as does a difference that is not listed.
package compat

import (
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(stubVariable) != "" {
		os.Exit(runStub())
	}
	os.Exit(m.Run())
}

// leastPairs is how many requests are compared at least.
const leastPairs = 400

func TestSideBySide(t *testing.T) {
	stub, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	stock, ours := startStock(t, stub), startOurs(t, stub)
	ours.await(t)
	stock.await(t)

	b := both{stock: stock, ours: ours, ledger: newLedger(differences())}
	whole := true
	for _, table := range tables() {
		ran := false
		t.Run(table.name, func(t *testing.T) {
			ran = true
			b.compare(t, table.pairs)
		})
		whole = whole && ran
	}
	if !whole {
		return // only some tables were asked for
	}
	b.ledger.checkStale(t)
	if b.ledger.pairs < leastPairs {
		t.Errorf("only %d pairs were compared", b.ledger.pairs)
	}
	t.Logf("%d pairs were compared", b.ledger.pairs)
}

// both are the two hubs, side by side.
type both struct {
	stock, ours *hub
	ledger      *ledger
}

// compare sends the pairs in order, each to both hubs at once.
func (b both) compare(t *testing.T, pairs []pair) {
	var unmeant []deviation
	for _, p := range pairs {
		a, c := b.ask(t, p)
		for deadline := time.Now().Add(patience); p.until != 0 && (a.status != p.until || c.status != p.until) && time.Now().Before(deadline); {
			<-time.After(between)
			a, c = b.ask(t, p)
		}
		b.ledger.pairs++
		for _, d := range compare(p, b.stock, b.ours, a, c) {
			if !b.ledger.meant(d) {
				unmeant = append(unmeant, d)
			}
		}
	}
	report(t, unmeant)
}

// between is the pause between two requests that wait for something.
const between = 200 * time.Millisecond

// ask sends one request to both.
func (b both) ask(t *testing.T, p pair) (stock, ours answer) {
	t.Helper()
	var errStock, errOurs error
	var asking sync.WaitGroup
	asking.Go(func() { stock, errStock = b.stock.ask(t.Context(), p) })
	asking.Go(func() { ours, errOurs = b.ours.ask(t.Context(), p) })
	asking.Wait()
	if errStock != nil || errOurs != nil {
		t.Fatalf("%s: JupyterHub: %v, NomadHub: %v", p, errStock, errOurs)
	}
	if b.stock.ended() && stock.status == http.StatusBadGateway {
		t.Fatalf("JupyterHub ended before %s:\n%s", p, b.stock.proc.tail())
	}
	return stock, ours
}
