// Package compat sends the same requests to a stock JupyterHub and to this project's hub, and compares what they answer: status, the headers that matter, and
// bodies after masking IDs, times and secrets.
//
// The requests stand in tables, one file for each resource (table_*_test.go). What is meant to differ stands in differences_test.go, each with its reason; an
// entry that no longer differs fails the test, as does a difference that is not listed.
package compat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
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
			b.compare(t, table)
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

// compare sends the pairs of a table, each to both hubs at once.
func (b both) compare(t *testing.T, table table) {
	unmeant := b.inOrder(t, table.pairs)
	found := make([][]deviation, len(table.lanes))
	var lanes sync.WaitGroup
	for i, lane := range table.lanes {
		lanes.Go(func() { found[i] = b.inOrder(t, lane) })
	}
	lanes.Wait()
	unmeant = append(unmeant, slices.Concat(found...)...)
	report(t, append(unmeant, b.inOrder(t, table.last)...))
}

// between is the pause between two requests that wait for something.
const between = 200 * time.Millisecond

// inOrder returns what differs and is not meant.
func (b both) inOrder(t *testing.T, pairs []pair) (unmeant []deviation) {
	for _, p := range pairs {
		stock, ours, err := b.ask(t.Context(), p)
		for deadline := time.Now().Add(patience); err == nil && !p.done(stock, ours) && time.Now().Before(deadline); {
			<-time.After(between)
			stock, ours, err = b.ask(t.Context(), p)
		}
		if err != nil {
			t.Errorf("%s: %v", p, err)
			return unmeant
		}
		unmeant = append(unmeant, b.ledger.unmeant(compare(p, b.stock, b.ours, stock, ours))...)
	}
	return unmeant
}

// done tells whether the answers are those that were waited for.
func (p pair) done(stock, ours answer) bool {
	return p.until == 0 || stock.status == p.until && ours.status == p.until
}

// ask sends one request to both.
func (b both) ask(ctx context.Context, p pair) (stock, ours answer, err error) {
	var errStock, errOurs error
	var asking sync.WaitGroup
	asking.Go(func() { stock, errStock = b.stock.ask(ctx, p) })
	asking.Go(func() { ours, errOurs = b.ours.ask(ctx, p) })
	asking.Wait()
	switch {
	case errStock != nil || errOurs != nil:
		return stock, ours, errors.Join(errStock, errOurs)
	case stock.status == http.StatusBadGateway && b.stock.ended():
		return stock, ours, fmt.Errorf("JupyterHub ended before:\n%s", b.stock.proc.tail())
	}
	return stock, ours, nil
}
