package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/nomadhub/nomadhub/internal/checker"
)

// TestClusterRaces asks for the same server from several sides at once. It ends in what was accepted last, with one job at most.
func TestClusterRaces(t *testing.T) {
	t.Parallel()
	c := newChild(t, plain.binary(t), "race", setup{notebook: standIn, checked: &checker.Model{Steady: true}})
	c.begin(t)
	for _, user := range []string{"many", "stops", "starts", "both"} {
		c.must(t, http.MethodPost, "/users/"+user, http.StatusCreated)
	}
	t.Run("the same start many times", c.manyStarts)
	t.Run("stop during start", c.stopDuringStart)
	t.Run("start during stop", c.startDuringStop)
	t.Run("starts and stops at once", c.startsAndStops)
	c.nothingLeft(t)
}

const serverOf = "/users/%s/server"

// manyStarts asks 20 times at once: all are told that it is coming, and it comes once.
func (c *child) manyStarts(t *testing.T) {
	answers := c.atOnce(t, "many", http.MethodPost, 20)
	for _, got := range answers {
		late := got.status == http.StatusBadRequest && strings.Contains(got.body, "already running")
		if got.status != http.StatusCreated && got.status != http.StatusAccepted && !late {
			t.Errorf("one of the starts is answered with %d: %s", got.status, got.body)
		}
	}
	s := c.awaitReady(t, "many")
	if s.State.Generation != 1 {
		t.Errorf("the server was started %d times", s.State.Generation)
	}
	if job := c.oneJob(t, s.State.ID); version(job) != "0" {
		t.Errorf("the job was registered more than once: it has version %s", version(job))
	}
	c.reachable(t, "many")
	c.stopped(t, "many")
}

// atOnce sends the same request many times in the same instant.
func (c *child) atOnce(t *testing.T, user, method string, times int) []answer {
	t.Helper()
	answers := make([]answer, times)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() {
			<-begin
			got, err := c.ask(t.Context(), method, fmt.Sprintf(serverOf, user), "")
			if err != nil {
				t.Error(err)
			}
			answers[i] = got
		})
	}
	close(begin)
	all.Wait()
	return answers
}

// stages are how far a start may have come when something else is asked.
func (c *child) stages() map[string]func(user string, s apiServer) bool {
	return map[string]func(string, apiServer) bool{
		"as soon as it is accepted": func(_ string, s apiServer) bool { return s.Pending == "spawn" || s.Ready },
		"when there is a job": func(_ string, s apiServer) bool {
			_, _, err := c.shared.Nomad.Client.Jobs().Info(c.jobPrefix()+s.State.ID, notebooks())
			return s.State.ID != "" && err == nil
		},
		"when Nomad has placed it": func(_ string, s apiServer) bool {
			allocs, _, err := c.shared.Nomad.Client.Jobs().Allocations(c.jobPrefix()+s.State.ID, true, notebooks())
			return s.State.ID != "" && err == nil && len(allocs) > 0
		},
		"when it is ready": func(_ string, s apiServer) bool { return s.Ready },
	}
}

// stopDuringStart takes a start back at several stages of it.
func (c *child) stopDuringStart(t *testing.T) {
	for stage, reached := range c.stages() {
		t.Run(stage, func(t *testing.T) {
			before, err := c.server(t.Context(), "stops")
			if err != nil {
				t.Fatal(err)
			}
			start := c.inBackground(t, "stops", http.MethodPost)
			c.awaitServer(t, "on its way: "+stage, "stops", func(s apiServer) bool {
				return s.State.Generation > before.State.Generation && reached("stops", s)
			})
			c.stopped(t, "stops")
			if got := start(); got.status != http.StatusCreated && got.status != http.StatusAccepted && !strings.Contains(got.body, "cancelled") {
				t.Errorf("the start that was taken back is answered with %d: %s", got.status, got.body)
			}
			c.nothingLeft(t)
		})
	}
}

// startDuringStop asks for a start from the instant on when a stop is accepted, until it is accepted in its turn.
func (c *child) startDuringStop(t *testing.T) {
	c.must(t, http.MethodPost, fmt.Sprintf(serverOf, "starts"), http.StatusCreated, http.StatusAccepted)
	for range 3 {
		before := c.awaitReady(t, "starts")
		stop := c.inBackground(t, "starts", http.MethodDelete)
		c.awaitServer(t, "being stopped", "starts", func(s apiServer) bool { return s.Pending == "stop" || s.Stopped })
		await(t, "a start is accepted", patience, func() error {
			got, err := c.ask(t.Context(), http.MethodPost, fmt.Sprintf(serverOf, "starts"), "")
			switch {
			case err != nil:
				return err
			case got.status < http.StatusBadRequest:
				return nil
			case got.status != http.StatusBadRequest || !strings.Contains(got.body, "stop"):
				t.Errorf("a start during a stop is answered with %d: %s", got.status, got.body)
			}
			return fmt.Errorf("it is refused: %s", got.body)
		})
		if got := stop(); got.status != http.StatusNoContent && got.status != http.StatusAccepted {
			t.Errorf("the stop is answered with %d: %s", got.status, got.body)
		}
		after := c.awaitReady(t, "starts")
		if after.State.ID != before.State.ID || after.State.Generation != before.State.Generation+1 {
			t.Errorf("after a stop and a start the server is %+v, and was %+v", after.State, before.State)
		}
		c.oneJob(t, after.State.ID)
		c.reachable(t, "starts")
	}
	c.stopped(t, "starts")
	c.nothingLeft(t)
}

// startsAndStops mixes both from many sides at once. Whatever comes of it, the last word counts.
func (c *child) startsAndStops(t *testing.T) {
	for range 5 {
		var all sync.WaitGroup
		for _, method := range []string{http.MethodPost, http.MethodDelete} {
			all.Go(func() {
				for _, got := range c.atOnce(t, "both", method, 5) {
					if got.status >= http.StatusInternalServerError && !strings.Contains(got.body, "cancelled") {
						t.Errorf("%s is answered with %d: %s", method, got.status, got.body)
					}
				}
			})
		}
		all.Wait()
		s := c.awaitServer(t, "at rest", "both", func(s apiServer) bool { return s.Ready || s.Stopped })
		if s.Stopped {
			c.nothingLeft(t)
			continue
		}
		c.oneJob(t, s.State.ID)
		c.reachable(t, "both")
	}
	c.stopped(t, "both")
	c.nothingLeft(t)
}

// inBackground sends a request and returns what waits for its answer.
func (c *child) inBackground(t *testing.T, user, method string) func() answer {
	t.Helper()
	done := make(chan answer, 1)
	go func() {
		got, err := c.ask(t.Context(), method, fmt.Sprintf(serverOf, user), "")
		if err != nil {
			got.body = err.Error()
		}
		done <- got
	}()
	return func() answer { return <-done }
}

// stopped stops the user's server and waits for it.
func (c *child) stopped(t *testing.T, user string) {
	t.Helper()
	c.must(t, http.MethodDelete, fmt.Sprintf(serverOf, user), http.StatusNoContent, http.StatusAccepted)
	c.awaitStopped(t, user)
}
