package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// crowded is a pool of machines that has room for two servers.
const crowded = `
profile "crowded" {
  node_pool     = "crowded"
  mem_guarantee = "200M"
}
`

// testFullCluster lets nine people ask for servers where there is room for two.
func (l *notebookLife) testFullCluster(t *testing.T) {
	l.node(t, stack.NodeOptions{Name: "crowded", Pool: "crowded", MemoryMB: 512})
	c := l.hub(t, "queue", setup{notebook: standIn, more: crowded, checked: &checker.Model{Steady: true}}, "")
	people := map[string]person{}
	for _, name := range []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "b1", "b2"} {
		people[name] = c.person(t, name)
		c.group(t, name[:1], name)
	}
	for _, name := range []string{"a1", "a2"} {
		people[name].start(t)
		c.awaitReady(t, name)
	}

	// Nomad itself keeps the first of those for whom there is no room.
	a3 := l.pageOf(t, c, "a3")
	clicks(c.history, "a3", checker.Start)
	a3.Click("#start")
	a3.WaitURL("the page that shows the start", func(u string) bool { return strings.Contains(u, "/hub/spawn-pending/a3") })
	a3.WaitTextIn("[data-reason]", "Waiting for a machine: 200 MB of memory asked")
	a3.WaitTextIn("[data-position]", "You are number 1 of 1.")
	a3.Screenshot("queue")
	for i, name := range []string{"a4", "a5", "a6"} {
		people[name].start(t)
		people[name].sees(t, "spawn-pending/"+name, "200 MB of memory asked", fmt.Sprintf("You are number %d of %d.", i+2, i+2))
	}

	// The others wait in the hub. Who came last is of a group that has nothing yet.
	people["a7"].start(t)
	people["b1"].start(t)
	inLine := func() {
		people["b1"].sees(t, "spawn-pending/b1", "others wait for them already", "You are number 5 of 6.")
		people["a7"].sees(t, "spawn-pending/a7", "others wait for them already", "You are number 6 of 6.")
	}
	inLine()
	c.refusedStart(t, "b2")
	c.signal(syscall.SIGKILL)
	c.again() // the line is no matter of one hub's memory
	inLine()
	if c.hasJob(t, "a7") || c.hasJob(t, "b1") {
		t.Error("a start that waits for its turn in the hub has a job")
	}

	a3.Open(c.URL + "/hub/spawn-pending/a3")
	clicks(c.history, "a3", checker.Stop)
	a3.Click("#cancel")
	a3.WaitVisible("#start")
	await(t, "b1 is next", patience, func() error {
		if !c.hasJob(t, "b1") {
			return errors.New("it has no job")
		}
		return nil
	})
	if c.hasJob(t, "a7") {
		t.Error("a7 of the group that has most came at the same time as b1 of the other")
	}
	c.drainQueue(t, []string{"a1", "a2"}, []string{"a4", "a5", "a6", "a7", "b1"})
	c.nothingLeft(t)
}

// drainQueue stops one server after the other of those that run, and sees that each time one of those that wait goes on, until all have run.
func (c *child) drainQueue(t *testing.T, running, waiting []string) {
	t.Helper()
	for len(running) > 0 {
		c.down(t, running[0]+"/server")
		running = running[1:]
		if len(waiting) == 0 {
			continue
		}
		await(t, "one of "+strings.Join(waiting, ", ")+" goes on", slowly, func() error {
			for i, name := range waiting {
				s, err := c.server(t.Context(), name)
				switch {
				case err != nil:
					return err
				case s.Stopped:
					return fmt.Errorf("the start of %s was given up", name)
				case s.Ready:
					running, waiting = append(running, name), slices.Delete(waiting, i, i+1)
					return nil
				}
			}
			return errors.New("none is ready")
		})
	}
}

// hasJob tells whether Nomad has a job of the user's server.
func (c *child) hasJob(t *testing.T, user string) bool {
	t.Helper()
	s, err := c.server(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := c.jobs()
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		if job.ID == c.jobPrefix()+s.State.ID {
			return true
		}
	}
	return false
}

// startedInTurn lets two people start at a hub that starts one server at a time; open lets their servers answer.
func (c *child) startedInTurn(t *testing.T, first, second person, open func()) {
	t.Helper()
	first.start(t)
	c.awaitServer(t, "on its way", first.name, func(s apiServer) bool { return s.Pending == "spawn" })
	c.refusedStart(t, second.name)
	second.start(t)
	second.sees(t, "spawn-pending/"+second.name, "The hub starts as many servers as it may at once.", "You are number 1 of 1.")
	c.refusedStart(t, "somebody")
	if c.hasJob(t, second.name) {
		t.Error("the second start has a job before the first has ended")
	}
	open()
	c.awaitReady(t, first.name)
	c.awaitReady(t, second.name)
	c.must(t, http.MethodDelete, "/users/"+first.name+"/server", http.StatusNoContent, http.StatusAccepted)
	c.awaitStopped(t, first.name)
}
