package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

// fault is one server of the stack that is away for a time.
type fault struct {
	name    string
	down    func() error
	up      func(context.Context) error
	noticed func() error // nil once the hub has met the fault
	// meanwhile asks for a start while the server is away, and returns what waits for its end when the server is back.
	meanwhile func(t *testing.T, a apiClient, user string) (afterwards func())
}

// TestClusterFaults takes one part of the cluster after the other away from a hub that runs on it, while a person works in a notebook. The person notices
// nothing, and what was asked for meanwhile is done or refused with a sentence.
func TestClusterFaults(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	c := newClusterWith(t, checkedMachine(t))
	history := newHistory(checker.Model{}) // a start without what it needs may fail
	ada := b.Page(t)
	c.loginAtProvider(t, ada, "ada")
	ada.WaitVisible("#mine")
	ada.SetPatience(slowly)
	clicks(history, "ada", checker.Start)
	startServer(ada, c.URL, "ada")
	ada.Open(c.URL + "/user/ada/lab")
	if got := ada.LabRunCell("x = 41; print(x)"); got != "41" {
		t.Fatalf("before all faults a cell prints %q", got)
	}
	a := c.watched(t, history, c.scriptOf(t, "ada"))
	before := c.hubPID(t)
	for _, f := range c.faults(t) {
		t.Run(f.name+" away", func(t *testing.T) { c.survive(t, f, a, ada, b) })
	}
	if now := c.hubPID(t); now != before {
		t.Errorf("the hub did not live through the faults: its process was %d and is %d", before, now)
	}
	for _, r := range []struct {
		name string
		do   func(t *testing.T)
	}{{"by Nomad", c.restartHub}, {"after kill -9", c.killHub}} {
		t.Run("hub restarted "+r.name, func(t *testing.T) { c.surviveRestart(t, r.do, ada) })
	}
}

func (c *cluster) faults(t *testing.T) []fault {
	return []fault{
		{"Nomad server", c.Nomad.Kill, c.Nomad.Start, c.inLog(t, "event stream of the scheduler is disturbed"), startsLater},
		{"Consul", c.Consul.Kill, c.Consul.Start, c.inLog(t, "routes can no longer be refreshed"), startsOrFails},
		{"Vault", c.Vault.Kill, c.Vault.Start, c.inLog(t, "secret not read, the last good version stays in use"), startsAtOnce},
		{"Postgres", c.Postgres.Pause, c.Postgres.Resume, func() error {
			if code, err := status(t, c.metrics+"/ready"); err != nil || code == http.StatusOK {
				return fmt.Errorf("the hub is ready: %d, %w", code, err)
			}
			return nil
		}, isRefused},
	}
}

// survive takes the server away until the hub has met the fault and a person has worked on, and brings it back.
func (c *cluster) survive(t *testing.T, f fault, a apiClient, page *browser.Page, b *browser.Browser) {
	during, after := strings.ToLower(strings.Fields(f.name)[0])+"-during", strings.ToLower(strings.Fields(f.name)[0])+"-after"
	a.must(t, http.MethodPost, "/users/"+during, http.StatusCreated)
	a.must(t, http.MethodPost, "/users/"+after, http.StatusCreated)

	if err := f.down(); err != nil {
		t.Fatal(err)
	}
	await(t, "the hub meets the fault", patience, f.noticed)
	works(t, page, "while "+f.name+" is away")
	afterwards := f.meanwhile(t, a, during)
	works(t, page, "while "+f.name+" is away and somebody has asked for a start")

	if err := f.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	afterwards()
	await(t, "the hub is ready", patience, func() error {
		code, err := status(t, c.metrics+"/ready")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("it answers %d", code)
		}
		return err
	})
	works(t, page, "when "+f.name+" is back")
	ben := b.Page(t)
	c.loginAtProvider(t, ben, "ben")
	ben.WaitVisible("#mine")
	a.must(t, http.MethodPost, "/users/"+after+"/server", http.StatusCreated, http.StatusAccepted)
	a.awaitReady(t, after)
	for _, user := range []string{during, after} {
		a.must(t, http.MethodDelete, "/users/"+user+"/server", http.StatusNoContent, http.StatusAccepted)
		a.awaitStopped(t, user)
	}
}

// works sees that a person's open JupyterLab goes on: the same kernel over the same websocket, and requests with the browser's cookies.
func works(t *testing.T, p *browser.Page, when string) {
	t.Helper()
	if got := p.LabRunCell("print(x + 1)"); got != "42" {
		t.Errorf("%s the kernel prints %q", when, got)
	}
	const kernels = `fetch("/user/ada/api/kernels", {headers: {"X-XSRFToken": (document.cookie.match(/_xsrf=([^;]+)/) ?? [])[1] ?? ""}}).then(
		async r => r.status + " " + (r.ok ? (await r.json()).length : await r.text()))`
	if got := browser.Eval[string](p, kernels); got != "200 1" {
		t.Errorf("%s the notebook's API answers the browser: %s", when, got)
	}
}

// dismiss closes the dialog in which JupyterLab tells that it could not reach its server for a moment, if it is there.
func dismiss(p *browser.Page) {
	const button = ".jp-Dialog button.jp-mod-reject"
	if p.Has(button) {
		p.Click(button)
		p.WaitGone(button)
	}
}

// startsLater is for what a start needs: it waits, says so, and goes on by itself.
func startsLater(t *testing.T, a apiClient, user string) func() {
	a.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusAccepted)
	return func() {
		events := a.progress(t, user)
		if last := events[len(events)-1]; !last.Ready {
			t.Errorf("the start ends with: %+v", last)
		}
		for _, e := range events {
			if strings.Contains(e.Message, "cannot be reached at this moment") {
				return
			}
		}
		t.Errorf("nobody said that something was away: %+v", events)
	}
}

// startsOrFails is for what Nomad's client needs for a start: Nomad decides whether it waits. A failure is a sentence.
func startsOrFails(t *testing.T, a apiClient, user string) func() {
	a.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusAccepted, http.StatusInternalServerError)
	return func() {
		events := a.progress(t, user)
		last := events[len(events)-1]
		if !last.Ready && !strings.Contains(last.Message, "Consul for it. Try again in a moment") {
			t.Errorf("the start ends with: %+v", last)
		}
	}
}

// startsAtOnce is for what a start does not need.
func startsAtOnce(t *testing.T, a apiClient, user string) func() {
	a.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusCreated, http.StatusAccepted)
	a.awaitReady(t, user)
	return func() {}
}

// isRefused is for what every request needs: it is refused with a sentence, and possible later.
func isRefused(t *testing.T, a apiClient, user string) func() {
	got := a.must(t, http.MethodPost, "/users/"+user+"/server", http.StatusServiceUnavailable)
	if !strings.Contains(got.body, "again") {
		t.Errorf("the refusal says: %s", got.body)
	}
	return func() {
		await(t, "a start is accepted", patience, func() error {
			got, err := a.ask(t.Context(), http.MethodPost, "/users/"+user+"/server", "")
			if err == nil && got.status >= http.StatusBadRequest {
				err = errors.New(got.body)
			}
			return err
		})
		a.awaitReady(t, user)
	}
}

// surviveRestart restarts the hub under an open notebook: the server stays, and the same browser goes on without a new login.
func (c *cluster) surviveRestart(t *testing.T, restart func(*testing.T), page *browser.Page) {
	before := c.notebookAllocations(t)
	old := c.hubPID(t)
	restart(t)
	await(t, "another hub is ready", patience, func() error {
		if c.findHub() == old {
			return errors.New("the old one still runs")
		}
		code, err := status(t, c.metrics+"/ready")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("it answers %d", code)
		}
		return err
	})
	dismiss(page)
	works(t, page, "after the restart")
	tab := page.Tab()
	tab.Open(c.URL + "/hub/home")
	tab.WaitVisible("#stop")
	if now := c.notebookAllocations(t); now != before {
		t.Errorf("the notebooks' allocations were %s and are %s", before, now)
	}
}

// notebookAllocations are the notebooks that run now.
func (c *cluster) notebookAllocations(t *testing.T) string {
	t.Helper()
	allocs, _, err := c.Nomad.Client.Allocations().List(notebooks())
	if err != nil {
		t.Fatal(err)
	}
	var live []string
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusRunning {
			live = append(live, a.ID)
		}
	}
	return strings.Join(live, " ")
}

// restartHub has Nomad restart the hub's task, as an operator does.
func (c *cluster) restartHub(t *testing.T) {
	q := &nomad.QueryOptions{Namespace: hubjob.Namespace}
	allocs, _, err := c.Nomad.Client.Jobs().Allocations(hubjob.JobID, false, q)
	if err != nil || len(allocs) != 1 {
		t.Fatalf("allocations of the hub: %v, %v", allocs, err)
	}
	if err := c.Nomad.Client.Allocations().Restart(&nomad.Allocation{ID: allocs[0].ID}, "hub", q); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) killHub(t *testing.T) {
	if err := syscall.Kill(c.hubPID(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// hubPID is the hub's process.
func (c *cluster) hubPID(t *testing.T) int {
	t.Helper()
	pid := c.findHub()
	if pid == 0 {
		t.Fatal("the hub does not run")
	}
	return pid
}

// findHub returns the process that runs this cluster's copy of the hub's program, or 0.
func (c *cluster) findHub() int {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == c.binary {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			return pid
		}
	}
	return 0
}

// inLog is nil once the hub has logged the message from now on.
func (c *cluster) inLog(t *testing.T, message string) func() error {
	before := strings.Count(c.hubLog(t), message)
	return func() error {
		if strings.Count(c.hubLog(t), message) <= before {
			return fmt.Errorf("the hub's log has no new %q", message)
		}
		return nil
	}
}

// hubLog reads the log where Nomad's client keeps it, so that it can be read without Nomad.
func (c *cluster) hubLog(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir, "nomad", "alloc", "*", "alloc", "logs", "hub.std*.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the hub's log files: %v, %v", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// scriptOf makes an API token for a user, as an operator does on the database.
func (c *cluster) scriptOf(t *testing.T, user string) apiClient {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), c.binary, "token", "-dsn", c.Postgres.DSN, "-user", user).Output()
	if err != nil {
		t.Fatalf("nomadhub token: %v", err)
	}
	return apiClient{base: c.URL, token: strings.TrimSpace(string(out))}
}
