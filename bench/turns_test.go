package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sleeping are so many processes that do nothing, as hubs.
func sleeping(t *testing.T, n int) []subject {
	t.Helper()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	var hubs []subject
	for i := range n {
		p, err := spawn(t.TempDir(), program{name: "sleep", core: coreUnderTest, path: path, args: []string{"600"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.kill)
		hubs = append(hubs, subject{underTest: &fakeChild{child: p}, whose: ours, database: fmt.Sprint(i)})
	}
	return hubs
}

// stopped tells whether the kernel says of a process that it does not go on.
func stopped(t *testing.T, p *child) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := cutLast(string(text), ") ")
	return strings.HasPrefix(after, "T")
}

// TestTurns has hubs take turns: each comes once, in its order, and meanwhile none of the others goes on.
func TestTurns(t *testing.T) {
	t.Parallel()
	hubs := sleeping(t, 3)
	for _, s := range hubs {
		if err := s.process().hold(); err != nil {
			t.Fatal(err)
		}
	}
	var came []int
	err := inTurn(t.Context(), hubs, func(ctx context.Context, i int) error {
		came = append(came, i)
		for j, s := range hubs {
			// The signal has been sent, and what it does comes a moment later.
			err := s.process().await(ctx, testPatience, func(context.Context) error {
				if stopped(t, s.process()) == (i == j) {
					return fmt.Errorf("it is the turn of %d, and %d does not do as it should", i, j)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(came, []int{0, 1, 2}) {
		t.Errorf("the turns were %v", came)
	}
	for i, s := range hubs {
		s.close() // held, as it is after its turn
		if status, ok := s.process().cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
			t.Errorf("%d did not end as it was asked to: %s", i, s.process().cmd.ProcessState)
		}
	}
}

// TestAloneIsNotHeld has a hub go on that there is no other beside.
func TestAloneIsNotHeld(t *testing.T) {
	t.Parallel()
	hubs := sleeping(t, 1)
	for range 2 {
		if err := inTurn(t.Context(), hubs, func(context.Context, int) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if p := hubs[0].process(); p.held || stopped(t, p) {
			t.Fatal("it is held")
		}
	}
}

// TestCalm holds that a hub with 10,000 servers at rest is calm, and one that catches up is not, also on a core that it shares.
func TestCalm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		used time.Duration // of the look
		calm bool
	}{{0, true}, {20 * time.Millisecond, true}, {120 * time.Millisecond, false}, {calmLook, false}} {
		if err := calmAt(c.used.Seconds() / calmLook.Seconds()); (err == nil) != c.calm {
			t.Errorf("with %s of %s: %v", c.used, calmLook, err)
		}
	}
}

// TestStockDatabase holds that both kinds are written as SQLAlchemy reads them.
func TestStockDatabase(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"": "sqlite:////a/b/jupyterhub.sqlite",
		"postgres://owner:secret@127.0.0.1:5432/name?sslmode=disable": "postgresql+psycopg2://owner:secret@127.0.0.1:5432/name?sslmode=disable",
	} {
		if got := (&stockHub{dir: "/a/b", dsn: dsn}).database(); got != want {
			t.Errorf("%q is written as %q, want %q", dsn, got, want)
		}
	}
}
