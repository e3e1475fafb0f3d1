package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/hub"
)

func newTestEvents(t *testing.T) *eventLog {
	t.Helper()
	return newEventLog(slog.New(slog.NewTextHandler(t.Output(), nil)), &bytes.Buffer{}, prometheus.NewRegistry())
}

// finish writes what waits.
func (e *eventLog) finish(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.run(ctx); err != nil {
		t.Fatal(err)
	}
}

func linesOf(t *testing.T, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// TestEventsAreJupyterHubs: the same fields, no more and no fewer, in the same kinds.
func TestEventsAreJupyterHubs(t *testing.T) {
	t.Parallel()
	e := newTestEvents(t)
	file := filepath.Join(t.TempDir(), "events.log")
	if err := e.open(file); err != nil {
		t.Fatal(err)
	}
	e.tell(hub.ServerEvent{At: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.FixedZone("", 3600)), Action: "start", User: "ada", Server: ""})
	e.finish(t)
	e.tell(hub.ServerEvent{At: time.Unix(0, 0), Action: "stop", User: "bob\n", Server: "lab"}) // of a server that ends with the hub
	lines := linesOf(t, file)
	if len(lines) != 2 {
		t.Fatalf("the file has %d lines: %q", len(lines), lines)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"__timestamp__": "2026-03-04T04:06:07.000008Z", "__schema__": "https://schema.jupyter.org/jupyterhub/events/server-action",
		"__schema_version__": 1.0, "__metadata_version__": 1.0, "action": "start", "username": "ada", "servername": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the event differs (-want +got):\n%s", diff)
	}
}

// TestEventsGoOnAfterTheFileWasRotated: what comes after the file was opened anew is in the new one, and nothing is lost.
func TestEventsGoOnAfterTheFileWasRotated(t *testing.T) {
	t.Parallel()
	e := newTestEvents(t)
	file := filepath.Join(t.TempDir(), "events.log")
	if err := e.open(file); err != nil {
		t.Fatal(err)
	}
	e.write(hub.ServerEvent{User: "first"})
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	e.write(hub.ServerEvent{User: "second"})
	if err := e.open(file); err != nil {
		t.Fatal(err)
	}
	e.write(hub.ServerEvent{User: "third"})
	if old := linesOf(t, file+".1"); len(old) != 2 || !strings.Contains(old[1], "second") {
		t.Errorf("the rotated file has %q", old)
	}
	if now := linesOf(t, file); len(now) != 1 || !strings.Contains(now[0], "third") {
		t.Errorf("the new file has %q", now)
	}
	if err := e.open(filepath.Join(file, "below-a-file")); err == nil {
		t.Fatal("a file that cannot be opened is accepted")
	}
	e.write(hub.ServerEvent{User: "fourth"})
	if now := linesOf(t, file); len(now) != 2 {
		t.Errorf("after a file was refused the one before has %q", now)
	}
	if err := e.open(""); err != nil {
		t.Fatal(err)
	}
	e.tell(hub.ServerEvent{User: "fifth"})
	e.finish(t)
	if now := linesOf(t, file); len(now) != 2 {
		t.Errorf("after events were switched off the file has %q", now)
	}
}

// blockedPipe takes nothing until it is opened.
type blockedPipe struct{ open chan struct{} }

func (p blockedPipe) Write(b []byte) (int, error) { <-p.open; return len(b), nil }

// TestNobodyWaitsForAFileOfEventsThatTakesNothing: events beyond the bound are lost, and counted.
func TestNobodyWaitsForAFileOfEventsThatTakesNothing(t *testing.T) {
	t.Parallel()
	e := newTestEvents(t)
	pipe := blockedPipe{make(chan struct{})}
	e.stdout = pipe
	if err := e.open(eventsToStdout); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.run(ctx) })
	for range eventQueue + 100 {
		e.tell(hub.ServerEvent{Action: "start"})
	}
	close(pipe.open)
	cancel()
	wg.Wait()
	if lost := gathered(t, e.lost); lost < 99 || lost > 100 { // one may be on its way
		t.Errorf("%v events were lost, want those beyond the bound", lost)
	}
}

func gathered(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}
