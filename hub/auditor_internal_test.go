package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// auditMemory is a store that can be away.
type auditMemory struct {
	mu         sync.Mutex
	away       error
	entries    []AuditEntry
	statements int
}

func (m *auditMemory) AddAudit(_ context.Context, entries []AuditEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements++
	if m.away != nil {
		return m.away
	}
	for _, e := range entries {
		if e.Action == "poison" {
			return Errorf(Invalid, "This entry cannot be stored.")
		}
	}
	m.entries = append(m.entries, entries...)
	return nil
}

func (m *auditMemory) Audit(context.Context, AuditQuery) ([]AuditEntry, error)   { return nil, nil }
func (m *auditMemory) DeleteAuditBefore(context.Context, time.Time) (int, error) { return 0, nil }
func (m *auditMemory) set(err error)                                             { m.mu.Lock(); m.away = err; m.mu.Unlock() }
func (m *auditMemory) count() (entries, statements int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries), m.statements
}

func newTestAuditor(t *testing.T) (*auditor, *auditMemory) {
	t.Helper()
	m := &auditMemory{}
	return newAuditor(m, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry()), m
}

func done(i int) AuditEntry {
	return AuditEntry{At: time.Unix(1e9, 0), Kind: ActorUser, Actor: "ada", Action: "server.start", Target: fmt.Sprintf("server/ada/%d", i), Result: AuditDone}
}

func (a *auditor) outcome(name string) float64 {
	return testutil.ToFloat64(a.metrics.entries.WithLabelValues(name))
}

func TestAuditorWritesWithinASecondInFewStatements(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, m := newTestAuditor(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.run(ctx) })
		for i := range 1000 {
			a.add(done(i))
		}
		time.Sleep(time.Second)
		if n, statements := m.count(); n != 1000 || statements > 3 {
			t.Errorf("after a second %d of 1000 entries were written, in %d statements", n, statements)
		}
		a.add(done(1000))
		cancel()
		wg.Wait()
		if n, _ := m.count(); n != 1001 {
			t.Errorf("%d entries were written, want the last one too when the hub ends", n)
		}
	})
}

func TestAuditorKeepsEntriesWhileTheDatabaseIsAwayUpToABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, m := newTestAuditor(t)
		m.set(unavailableForTest())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { a.run(ctx) })
		for i := range auditBound + 7 {
			a.add(done(i))
		}
		time.Sleep(time.Minute)
		if n, _ := m.count(); n != 0 || a.outcome(auditLost) != 7 {
			t.Errorf("while the database is away %d entries are there and %v lost, want 0 and 7", n, a.outcome(auditLost))
		}
		m.set(nil)
		time.Sleep(2 * time.Second)
		if n, _ := m.count(); n != auditBound || a.outcome(auditWritten) != auditBound {
			t.Errorf("when the database was back %d entries were written, want %d", n, auditBound)
		}
		for i, e := range m.entries {
			if want := done(i).Target; e.Target != want {
				t.Fatalf("entry %d is about %s, want %s", i, e.Target, want)
			}
		}
		cancel()
		wg.Wait()
	})
}

func unavailableForTest() error {
	return &Error{Kind: Unavailable, Message: "The database is away.", Err: errors.New("refused")}
}

func TestAuditorLosesOnlyTheEntryThatCannotBeStored(t *testing.T) {
	t.Parallel()
	a, m := newTestAuditor(t)
	poison := done(1)
	poison.Action = "poison"
	for _, e := range []AuditEntry{done(0), poison, done(2)} {
		a.add(e)
	}
	if !a.write(t.Context(), time.Minute) {
		t.Fatal("the entries were kept back")
	}
	if n, _ := m.count(); n != 2 || a.outcome(auditLost) != 1 {
		t.Errorf("%d entries were written and %v lost, want 2 and 1", n, a.outcome(auditLost))
	}
}

func TestRefusalsAreBoundedAndActsAreNot(t *testing.T) {
	t.Parallel()
	a, m := newTestAuditor(t)
	refusal := func(actor, address string, at time.Time) AuditEntry {
		return AuditEntry{At: at, Actor: actor, Address: address, Action: "login", Result: AuditRefused}
	}
	now := time.Unix(1e9, 0)
	for range 1000 {
		a.add(refusal("", "192.0.2.1", now))
		a.add(done(1))
	}
	for i := range 5000 { // from everywhere
		a.add(refusal("", fmt.Sprintf("2001:db8::%x", i), now))
	}
	a.add(refusal("ada", "192.0.2.9", now))
	a.add(refusal("", "192.0.2.1", now.Add(2*time.Minute)))
	a.write(t.Context(), time.Minute)
	count := map[string]int{}
	for _, e := range m.entries {
		key := string(e.Result) + e.Actor
		count[key]++
	}
	if count["doneada"] != 1000 || count["refusedada"] != 1 || count["refused"] != floodAnonymous+1 {
		t.Errorf("entries: %v, want 1000 acts, 1 refusal of ada's and %d others", count, floodAnonymous+1)
	}
	last := m.entries[len(m.entries)-1]
	if string(last.Detail) != `{"held_back":970}` {
		t.Errorf("the next refusal says %s, want that 970 before it were held back", last.Detail)
	}
}

func TestRefusalsCannotPushOutWhatWasDone(t *testing.T) {
	t.Parallel()
	a, _ := newTestAuditor(t)
	for i := range auditBound/2 + 100 {
		a.add(AuditEntry{At: time.Unix(int64(i)*60, 0), Actor: "mallory", Action: "login", Result: AuditRefused})
	}
	for i := range auditBound / 2 {
		a.add(done(i))
	}
	if lost := a.outcome(auditLost); lost != 100 {
		t.Errorf("%v entries were lost, want the 100 refusals beyond half of the room", lost)
	}
}

func TestEntriesAreTidied(t *testing.T) {
	t.Parallel()
	e := tidied(AuditEntry{
		Actor: "a\x00b\nc\xff", Target: strings.Repeat("é", 5000), Detail: json.RawMessage(`{"x":"` + strings.Repeat("y", maxAuditDetail) + `"}`),
	}, 0)
	if e.Actor != "abc\uFFFD" || len(e.Target) > maxAuditText+3 || string(e.Detail) != `{"cut":true}` {
		t.Errorf("got %q, a target of %d bytes, and the detail %s", e.Actor, len(e.Target), e.Detail)
	}
	for detail, want := range map[string]string{
		`{"x":{"y":[1]},"z":"é"}`: `{"x":{"y":[1]},"z":"é"}`,
		` { "x" : 1 } `:           `{"x":1}`,
		`{}`:                      ``,
		``:                        ``,
		`{"x":1`:                  `{"cut":true}`,
		`{"x":1}}`:                `{"cut":true}`,
		`["x"]`:                   `{"cut":true}`,
		`"x"`:                     `{"cut":true}`,
	} {
		if e := tidied(AuditEntry{Detail: json.RawMessage(detail)}, 0); string(e.Detail) != want {
			t.Errorf("%s becomes %s, not %s", detail, e.Detail, want)
		}
		if e := tidied(AuditEntry{Detail: json.RawMessage(detail)}, 3); !strings.Contains(string(e.Detail), `"held_back":3`) {
			t.Errorf("%s becomes %s where three were held back", detail, e.Detail)
		}
	}
}
