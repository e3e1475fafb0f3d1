package api_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
	"github.com/nomadhub/nomadhub/scheduler"
)

// get opens an answer that may take long.
func (b *bench) get(ctx context.Context, who, path, accept string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.Public.URL+"/hub/api"+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+b.tokens[who])
	req.Header.Set("Accept", accept)
	res, err := b.Public.Client().Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// TestWhoMaySeeLogs: owners and administrators; for others there is nothing, and reading about servers is not enough for logs.
func TestWhoMaySeeLogs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.Start("alice", "")
	b.Fake.Print(s.ID, "one")
	alice, err := b.Hub.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	b.tokens["reader"] = b.Token(alice, "read:servers!user=alice")
	b.tokens["server"] = b.ServerToken(s)
	for _, what := range []struct {
		path   string
		reader int // for whoever may only read about servers
	}{{"/log", http.StatusForbidden}, {"/history", http.StatusForbidden}, {"/usage", http.StatusOK}} {
		for _, base := range []string{"/users/alice/server", "/users/alice/servers/"} {
			path := base + what.path
			b.as("alice", http.MethodGet, path, "").want(http.StatusOK)
			b.as("root", http.MethodGet, path, "").want(http.StatusOK)
			b.as("reader", http.MethodGet, path, "").want(what.reader)
			b.as("server", http.MethodGet, path, "").want(http.StatusForbidden)
			b.as("", http.MethodGet, path, "").want(http.StatusForbidden)
			hidden := b.as("bob", http.MethodGet, path, "").want(http.StatusNotFound).problem()
			absent := b.as("bob", http.MethodGet, strings.Replace(path, "alice", "nobody", 1), "").want(http.StatusNotFound).problem()
			same(t, path, hidden, absent)
		}
		b.as("alice", http.MethodGet, "/users/alice/servers/none"+what.path, "").want(http.StatusNotFound)
		b.as("bob", http.MethodGet, "/users/bob/server"+what.path, "").want(http.StatusNotFound) // never started
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.Start("alice", "lab")
	b.Fake.Print(s.ID, "\x1b[31mred\x1b[0m\ttext", "\x1b]0;title\x07next <b>", "é\x00.")
	path := "/users/alice/servers/lab/log"
	a := b.as("alice", http.MethodGet, path, "").want(http.StatusOK)
	same(t, "text", a.body, "red\ttext\nnext <b>\né.\n")
	same(t, "headers", []string{a.header.Get("Content-Type"), a.header.Get("X-Content-Type-Options"), a.header.Get("Content-Disposition")},
		[]string{"text/plain; charset=utf-8", "nosniff", ""})
	a = b.as("alice", http.MethodGet, path+"?download=1&stream=stdout", "").want(http.StatusOK)
	same(t, "as it is", a.body, "\x1b[31mred\x1b[0m\ttext\n\x1b]0;title\x07next <b>\né\x00.\n")
	same(t, "file", a.header.Get("Content-Disposition"), `attachment; filename="alice-lab.stdout.log"`)
	same(t, "tail", b.as("alice", http.MethodGet, path+"?tail=5", "").body, "é.\n")
	for _, query := range []string{"stream=both", "tail=many", "tail=-1", "follow=perhaps", "download=x"} {
		b.as("alice", http.MethodGet, path+"?"+query, "").want(http.StatusBadRequest)
	}
	b.Fake.FailList(scheduler.ErrUnavailable)
	a = b.as("alice", http.MethodGet, path, "").want(http.StatusServiceUnavailable)
	if !strings.Contains(a.body, "cannot be reached at this moment") {
		t.Errorf("the message is %s", a.body)
	}
}

func TestFollowedLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.Start("alice", "")
	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Patience)
	defer cancel()
	lines := bufio.NewScanner(b.get(ctx, "alice", "/users/alice/server/log?follow=1", "").Body)
	for _, line := range []string{"one", "two \x1b[1mbold"} {
		b.Fake.Print(s.ID, line)
		if !lines.Scan() || lines.Text() != strings.ReplaceAll(line, "\x1b[1m", "") {
			t.Fatalf("read %q after %q: %v", lines.Text(), line, lines.Err())
		}
	}
	b.Fake.Kill(s.ID, "It ended.")
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("after the end came %q, %v", lines.Text(), lines.Err())
	}
}

// TestWatchersAreBounded: who has too many streams open gets no more until one is closed.
func TestWatchersAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Start("alice", "")
	path := "/users/alice/server/log?follow=1"
	var first *http.Response
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range 12 {
		own := ctx
		if n > 0 {
			own = t.Context()
		}
		if res := b.get(own, "alice", path, ""); n == 0 {
			first = res
		}
	}
	a := b.as("alice", http.MethodGet, path, "").want(http.StatusTooManyRequests)
	same(t, "Retry-After", a.header.Get("Retry-After"), "10")
	b.as("root", http.MethodGet, "/users/alice/server/log", "").want(http.StatusOK) // others may
	cancel()
	_ = first.Body.Close()
	b.Eventually("the place of a closed stream to be free", func() bool {
		return b.as("alice", http.MethodGet, "/users/alice/server/log", "").status == http.StatusOK
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	b := newBenchWith(t, api.Options{UsageInterval: 10 * time.Millisecond})
	s := b.Start("alice", "")
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b.Fake.Use(s.ID, scheduler.Usage{
		Time: at, CPU: 0.5, MemoryBytes: 1 << 30, MemoryLimit: 2 << 30,
		Devices: []scheduler.DeviceUsage{{Name: "nvidia/gpu/T4", ID: "g1", Values: map[string]string{"utilization": "7 %"}}},
	})
	want := map[string]any{
		"time": "2026-03-01T12:00:00Z", "cpu_cores": 0.5, "memory_bytes": float64(1 << 30), "memory_limit_bytes": float64(2 << 30),
		"devices": []any{map[string]any{"name": "nvidia/gpu/T4", "id": "g1", "values": map[string]any{"utilization": "7 %"}}},
	}
	same(t, "usage", b.as("alice", http.MethodGet, "/users/alice/server/usage", "").want(http.StatusOK).object(), want)

	ctx, cancel := context.WithTimeout(t.Context(), hubtest.Patience)
	defer cancel()
	res := b.get(ctx, "alice", "/users/alice/server/usage", "text/event-stream")
	same(t, "type", res.Header.Get("Content-Type"), "text/event-stream")
	lines := bufio.NewScanner(res.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended before %q: %v", want, lines.Err())
	}
	next(`"cpu_cores":0.5`)
	b.Fake.Use(s.ID, scheduler.Usage{Time: at, CPU: 1.5})
	next(`"cpu_cores":1.5,"memory_bytes":0,"memory_limit_bytes":null`)
	b.Fake.FailList(scheduler.ErrUnavailable) // its machine is away for a moment
	b.Fake.Use(s.ID, scheduler.Usage{Time: at, CPU: 2.5})
	b.Fake.FailList(nil)
	next(`"cpu_cores":2.5`)
	b.Fake.Kill(s.ID, "It ended.")
	next("event: end")
	if rest, err := io.ReadAll(res.Body); err != nil {
		t.Errorf("the stream broke after %q: %v", rest, err)
	}
	b.Await(s.ID, hub.Stopped)
	b.as("alice", http.MethodGet, "/users/alice/server/usage", "").want(http.StatusNotFound)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	gate := make(chan struct{})
	b.Fake.OnStop = func(scheduler.Spec) { <-gate } // the cluster remembers until it is stopped for good
	defer close(gate)
	s := b.Start("alice", "")
	b.Fake.Kill(s.ID, "The server ended with exit code 3.")
	a := b.as("alice", http.MethodGet, "/users/alice/server/history", "").want(http.StatusOK)
	events := a.list()
	if len(events) < 3 {
		t.Fatalf("history: %s", a.body)
	}
	last := events[len(events)-1]
	same(t, "the last event", []any{last["message"], last["state"], last["run"]}, []any{"The server ended with exit code 3.", "dead", 1.0})
}

// TestNoticeAndMove: an owner learns that the machine is being emptied, and has the server moved.
func TestNoticeAndMove(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.as("alice", http.MethodPost, "/users/alice/server/move", "").want(http.StatusConflict) // it does not run
	s := b.Start("alice", "")
	if _, there := b.as("alice", http.MethodGet, "/users/alice/server", "").object()["notice"]; there {
		t.Error("there is a notice before there is anything to say")
	}
	by := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	b.Fake.Drain(s.ID, by)
	var notice map[string]any
	b.Eventually("the notice", func() bool {
		notice, _ = b.as("alice", http.MethodGet, "/users/alice/server", "").object()["notice"].(map[string]any)
		return notice != nil
	})
	same(t, "notice", []any{notice["kind"], notice["until"]}, []any{"drain", by.Format(time.RFC3339)})
	b.as("bob", http.MethodPost, "/users/alice/server/move", "").want(http.StatusNotFound)
	b.as("alice", http.MethodPost, "/users/alice/servers//move", "").want(http.StatusAccepted).empty()
	b.Eventually("the server to be up again", func() bool {
		now, err := b.Hub.Server(t.Context(), "alice", "")
		return err == nil && now.State == hub.Ready && now.Generation == 2 && now.Notice == nil
	})
}
