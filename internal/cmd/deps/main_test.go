package main

import (
	"strings"
	"testing"
)

func TestWhatIsHereNeedsNothing(t *testing.T) {
	t.Parallel()
	n := need{"Something", func() error { return nil }, []string{"no-such-package"}}
	if err := n.ensure(t.Context(), t.Output()); err != nil {
		t.Error(err)
	}
}

// TestEverythingMissingIsNamedAtOnce runs alone: it hides every program of this machine, apt-get too.
func TestEverythingMissingIsNamedAtOnce(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := run(t.Context(), []string{"chromium", "compiler"}, t.Output())
	if err == nil || !strings.Contains(err.Error(), "apt-get install -y chromium") || !strings.Contains(err.Error(), "apt-get install -y gcc libc6-dev") {
		t.Errorf("error %v", err)
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"emacs"}} {
		if err := run(t.Context(), args, t.Output()); err == nil || !strings.Contains(err.Error(), "chromium, compiler, docker, network, postgres, prometheus") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
