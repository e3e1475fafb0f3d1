package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// thrifty is a hub that starts one server at a time, and at which cleo may use next to nothing.
const thrifty = `
profile "plain" {
  mem_guarantee = "96M"
  cpu           = 100
}
limits {
  concurrent_starts = 1
}
notebook {
  answer_timeout = "10m"
}
usage {
  interval = "1s"
  grace    = "3s"
  core_mhz = 1000

  limit "crumbs" {
    users             = ["cleo"]
    hard_memory_hours = 0.00001
  }
}
`

// testLimitsAndLedger is the limit of starts at one time, and what the ledger says of runs and does about them.
func (l *notebookLife) testLimitsAndLedger(t *testing.T) {
	gate := filepath.Join(l.Dir, "gate") // other accounts may look whether it is there
	closed := fmt.Sprintf("import os, time\nwhile not os.path.exists(%q): time.sleep(0.05)\n", gate)
	c := l.hub(t, "thrifty", setup{notebook: closed + standIn, more: thrifty}, "")
	ada, ben, cleo := c.person(t, "ada"), c.person(t, "ben"), c.person(t, "cleo")
	c.must(t, http.MethodPost, "/users/somebody", http.StatusCreated)
	c.startedInTurn(t, ada, ben, func() {
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})

	c.ledgerAgrees(t, "ben")

	cleo.start(t)
	stopped := c.awaitDetail(t, "is stopped by the limit", "cleo/server", func(s serverDetail) bool { return s.Stopped && s.Failure != nil })
	said := stopped.Failure.Message + " " + strings.Join(stopped.Failure.Evidence, " ")
	for _, words := range []string{"The server was stopped; your files are kept.", "The limit is called crumbs.", "A warning was shown from"} {
		if !strings.Contains(said, words) {
			t.Errorf("the server over the limit was stopped with %q, without %q", said, words)
		}
	}
	cleo.sees(t, "home", "The server was stopped; your files are kept.", "The limit is called crumbs.")
	if got, err := c.ask(t.Context(), http.MethodPost, "/users/cleo/server", ""); err != nil || got.status != http.StatusForbidden {
		t.Errorf("a start over the limit answers %d %s, %v", got.status, got.body, err)
	}
	c.nothingLeft(t)
}

// ledgerRun is one run as the API shows it.
type ledgerRun struct {
	User, Profile, Instance string
	ServerID                string `json:"server_id"`
	Generation              int64
	MemoryMB                int64 `json:"memory_mb"`
	Cores                   float64
	Began, Ended            time.Time
}

// ledgerAgrees stops the user's server and compares its one run with what Nomad's client says of the task.
func (c *child) ledgerAgrees(t *testing.T, user string) {
	t.Helper()
	// Not of this month alone, which may begin meanwhile.
	query := "?by=run&user=" + user + "&from=" + time.Now().UTC().AddDate(0, 0, -2).Format(time.DateOnly)
	s := c.awaitDetail(t, "runs", user+"/server", func(s serverDetail) bool { return s.Ready })
	ended := c.endOf(t, s.State.Instance)
	c.down(t, user+"/server")
	task := ended()
	var run ledgerRun
	await(t, "the ledger says of "+user+" what Nomad says", patience, func() error {
		var ledger struct{ Items []ledgerRun }
		got, err := c.ask(t.Context(), http.MethodGet, "/usage"+query, "")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(got.body), &ledger); err != nil || len(ledger.Items) != 1 {
			return fmt.Errorf("the ledger has %s, %w", got.body, err)
		}
		run = ledger.Items[0]
		if !run.Began.Equal(task.StartedAt.Truncate(time.Microsecond)) || !run.Ended.Equal(task.FinishedAt.Truncate(time.Microsecond)) {
			return fmt.Errorf("the ledger says %s to %s, Nomad %s to %s", run.Began, run.Ended, task.StartedAt, task.FinishedAt)
		}
		return nil
	})
	// Nomad notes that a task runs right after the event that says so.
	if run.Began.Before(eventTime(task, nomad.TaskStarted)) || run.Ended.Before(eventTime(task, nomad.TaskTerminated)) || !run.Began.Before(run.Ended) {
		t.Errorf("the ledger says %s to %s, the task's own events %s to %s", run.Began, run.Ended, eventTime(task, nomad.TaskStarted), eventTime(task, nomad.TaskTerminated))
	}
	if run.Instance != s.State.Instance || run.ServerID != s.State.ID || run.Generation != s.State.Generation || run.Profile != "plain" ||
		run.MemoryMB != 96 || run.Cores != 0.1 {
		t.Errorf("the run in the ledger: %+v", run)
	}
	rows, err := csv.NewReader(strings.NewReader(c.must(t, http.MethodGet, "/usage.csv"+query, http.StatusOK).body)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("the table has the rows %q, %v", rows, err)
	}
	for column, want := range map[string]string{
		"user": user, "profile": "plain", "memory_mb": "96", "cores": "0.1", "began": run.Began.Format(time.RFC3339), "ended": run.Ended.Format(time.RFC3339),
		"server_id": run.ServerID, "generation": strconv.FormatInt(run.Generation, 10), "instance": run.Instance,
	} {
		if at := slices.Index(rows[0], column); at < 0 || rows[1][at] != want {
			t.Errorf("in the table %s is not %q: %q", column, want, rows)
		}
	}
}

// endOf begins to listen for the end of an allocation's task, since Nomad forgets the allocation soon after its job was purged. What it returns waits for the end.
func (c *child) endOf(t *testing.T, id string) func() *nomad.TaskState {
	t.Helper()
	news, err := c.shared.Nomad.Client.EventStream().Stream(t.Context(), map[nomad.Topic][]string{nomad.TopicAllocation: {id}}, 0, notebooks())
	if err != nil {
		t.Fatal(err)
	}
	return func() *nomad.TaskState {
		t.Helper()
		for timeout := time.After(slowly); ; {
			select {
			case some := <-news:
				if some == nil || some.Err != nil {
					t.Fatalf("the event stream ended: %+v", some)
				}
				for _, e := range some.Events {
					alloc, err := e.Allocation()
					if err != nil {
						t.Fatal(err)
					}
					if task := alloc.TaskStates["notebook"]; alloc.ID == id && task != nil && !task.FinishedAt.IsZero() {
						return task
					}
				}
			case <-timeout:
				t.Fatalf("no event says that the allocation %s has ended", id)
			}
		}
	}
}

// eventTime is when the task had its last event of the kind, as exactly as the ledger keeps times.
func eventTime(task *nomad.TaskState, kind string) (at time.Time) {
	for _, e := range task.Events {
		if e.Type == kind {
			at = time.Unix(0, e.Time).Truncate(time.Microsecond)
		}
	}
	return at
}
