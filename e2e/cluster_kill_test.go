package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/nomadhub/nomadhub/internal/checker"
)

// TestF01F02_ClusterKilledAtEachPoint kills the hub without warning at eight points of a start. The next hub brings the server up, with exactly one Nomad job, and
// when it is stopped nothing is left.
func TestF01F02_ClusterKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	c := newChild(t, failpoints.binary(t), "kill", setup{notebook: standIn, checked: &checker.Model{Steady: true}})
	c.begin(t)
	// F01: the start.
	for _, point := range []string{"before-row", "before-admission", "after-admission", "after-row", "before-register", "after-register", "before-ready", "after-ready"} {
		t.Run(point, func(t *testing.T) { c.surviveKill(t, point, point, childAllocation) })
	}
	// F02: the stop.
	for _, point := range []string{"after-row", "before-end", "after-end", "after-stopped"} {
		t.Run("stop "+point, func(t *testing.T) { c.surviveKillOfStop(t, point) })
	}
	t.Run("another hub takes over", func(t *testing.T) { // once the lease of the dead one has ended
		c.surviveKill(t, "after-row", "taken-over", "NOMAD_ALLOC_ID=another")
	})
}

// surviveKill kills the hub at the point of the user's start, and goes on with one of that allocation.
func (c *child) surviveKill(t *testing.T, point, user, next string) {
	t.Helper()
	c.must(t, http.MethodPost, "/users/"+user, http.StatusCreated)
	c.again("NOMADHUB_FAILPOINT=start." + point)
	c.askAndDie(t, user)

	c.again(next)
	if point == "before-row" || point == "before-admission" { // nothing was promised yet
		if s, err := c.server(t.Context(), user); err != nil || !s.Stopped {
			t.Fatalf("a start that was never written down left %+v, %v", s, err)
		}
		c.nothingLeft(t)
		c.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusCreated, http.StatusAccepted)
	}
	s := c.awaitReady(t, user)
	if job := c.oneJob(t, s.State.ID); version(job) != "0" {
		t.Errorf("the job was registered more than once: it has version %s", version(job))
	}
	c.reachable(t, user)
	c.must(t, http.MethodDelete, "/users/"+user+"/server", http.StatusNoContent, http.StatusAccepted)
	c.awaitStopped(t, user)
	c.nothingLeft(t)
}

// askAndDie asks for a start, under which the hub dies.
func (c *child) askAndDie(t *testing.T, user string) {
	t.Helper()
	got, err := c.ask(t.Context(), http.MethodPost, "/users/"+user+"/server", "")
	if err == nil && got.status >= http.StatusBadRequest {
		t.Fatalf("the start is refused: %d %s", got.status, got.body)
	}
	c.awaitKilled(t)
}

// awaitKilled waits until the hub has ended, as by kill -9.
func (c *child) awaitKilled(t *testing.T) {
	t.Helper()
	c.awaitEnd()
	how, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || how.Signal() != syscall.SIGKILL {
		t.Fatalf("the hub was not killed at the point: %s", strings.TrimSpace(c.cmd.ProcessState.String()))
	}
}

// surviveKillOfStop kills the hub at the point of a stop. The next hub ends the server, and leaves nothing; the server starts anew.
func (c *child) surviveKillOfStop(t *testing.T, point string) {
	t.Helper()
	user := "stop-" + point
	c.must(t, http.MethodPost, "/users/"+user, http.StatusCreated)
	c.again("NOMADHUB_FAILPOINT=stop." + point)
	c.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusCreated, http.StatusAccepted)
	c.awaitReady(t, user)
	if got, err := c.ask(t.Context(), http.MethodDelete, "/users/"+user+"/server", ""); err == nil && got.status >= http.StatusBadRequest {
		t.Fatalf("the stop is refused: %d %s", got.status, got.body)
	}
	c.awaitKilled(t)

	c.again(childAllocation)
	c.awaitStopped(t, user)
	c.nothingLeft(t)
	c.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusCreated, http.StatusAccepted)
	c.awaitReady(t, user)
	c.must(t, http.MethodDelete, "/users/"+user+"/server", http.StatusNoContent, http.StatusAccepted)
	c.awaitStopped(t, user)
	c.nothingLeft(t)
}
