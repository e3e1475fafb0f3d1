package e2e

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/rootfs"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
	"github.com/nomadhub/nomadhub/store"
)

// notebookLife is a real cluster, on which each part of the test has a hub of its own, and machines of its own where it needs such.
type notebookLife struct {
	*stack.Stack
	browser *browser.Browser
}

// TestClusterNotebookLife is what else happens to notebooks on a real cluster than that they are started and stopped: they wait for room, nobody uses them, they use
// up what somebody may have, they need more memory, their images are kept on machines, and their files outlive them; and services run beside them.
func TestClusterNotebookLife(t *testing.T) {
	t.Parallel()
	l := &notebookLife{browser: browser.New(t), Stack: stack.NewOwn(t, stack.Options{Postgres: true})}
	if err := hubjob.Prepare(t.Context(), l.Stack, nil); err != nil {
		t.Fatal(err)
	}
	// They wait most of the time, so they go on at the same time whatever -parallel says.
	var parts sync.WaitGroup
	for name, part := range map[string]func(*testing.T){
		"full cluster": l.testFullCluster, "limits and ledger": l.testLimitsAndLedger, "culling": l.testCulling, "homes": l.testHomes, "warm images": l.testWarmImages,
		"killed": l.testKilled, "services": l.testServices,
	} {
		parts.Go(func() { t.Run(name, part) })
	}
	parts.Wait()
}

// node adds a machine for the length of a part of the test. It is to be added before the hub whose jobs it runs.
func (l *notebookLife) node(t *testing.T, o stack.NodeOptions) {
	t.Helper()
	node, err := l.AddNode(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Errorf("stop the node %s: %v", o.Name, err)
		}
	})
}

// execNode adds a machine with a pool of its own, both of that name, in whose chroots there is Python.
func (l *notebookLife) execNode(t *testing.T, name string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client with the exec driver must be root")
	}
	root := filepath.Join(l.Dir, name+"-root")
	if err := machinePython(t).WriteDir(root); err != nil {
		t.Fatal(err)
	}
	l.node(t, stack.NodeOptions{Name: name, Pool: name, Drivers: stack.Drivers{Chroot: map[string]string{root: "/"}}})
}

// hub starts a hub. What the further file says of its configuration wins.
func (l *notebookLife) hub(t *testing.T, name string, how setup, further string) *child {
	t.Helper()
	database, err := l.Postgres.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &child{shared: l.Stack, name: name, dir: t.TempDir(), dsn: l.Postgres.URL(database)}
	c.hubProcess = &hubProcess{t: t, binary: plain.binary(t), args: []string{"serve", "-config", filepath.Join(c.dir, "hub.hcl")}}
	c.makeTokens(t)
	if how.checked != nil {
		c.check(t, *how.checked)
	}
	c.configure(t, how)
	if further != "" {
		c.write(t, "further.hcl", further)
		c.args = append(c.args, "-config", filepath.Join(c.dir, "further.hcl"))
	}
	t.Cleanup(func() {
		if c.running() {
			c.signal(syscall.SIGTERM)
		}
		c.purge(t)
		c.awaitEnded(t)
	})
	c.begin(t)
	return c
}

// awaitEnded waits until nothing of the hub runs on any machine, which a machine that is stopped would leave behind.
func (c *child) awaitEnded(t *testing.T) {
	q := notebooks()
	q.Prefix = ""
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(patience); ; {
		allocs, _, err := c.shared.Nomad.Client.Allocations().List(q)
		live := slices.ContainsFunc(allocs, func(a *nomad.AllocationListStub) bool {
			return strings.HasPrefix(a.JobID, c.jobPrefix()) && (a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending)
		})
		if err == nil && !live {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Errorf("allocations of jobs %s… go on: %v", c.jobPrefix(), err)
			return
		}
	}
}

// serverDetail is a server as the API shows it, with what is beside JupyterHub's fields.
type serverDetail struct {
	Ready, Stopped bool
	State          struct {
		ID, Instance string
		Generation   int64
	}
	Notice *struct {
		Kind, Message string
		Evidence      []string
		Until         time.Time
	}
	Failure *struct {
		Message  string
		Evidence []string
	}
	LastUsed time.Time `json:"last_used"`
}

// awaitDetail waits until a server is as wanted; it is named by its path below /users.
func (c *child) awaitDetail(t *testing.T, what, server string, wanted func(serverDetail) bool) (s serverDetail) {
	t.Helper()
	await(t, server+" "+what, slowly, func() error {
		got, err := c.ask(t.Context(), http.MethodGet, "/users/"+server, "")
		if err != nil {
			return err
		}
		s = serverDetail{}
		if err := json.Unmarshal([]byte(got.body), &s); err != nil || got.status != http.StatusOK || !wanted(s) {
			return fmt.Errorf("it is %d %s, %w", got.status, got.body, err)
		}
		return nil
	})
	return s
}

// up has a program start a server with these options, and waits until it is ready.
func (c *child) up(t *testing.T, server, options string) serverDetail {
	t.Helper()
	got, err := c.ask(t.Context(), http.MethodPost, "/users/"+server, options)
	if err != nil || got.status != http.StatusCreated && got.status != http.StatusAccepted {
		t.Fatalf("the start of %s answers %d %s, %v", server, got.status, got.body, err)
	}
	return c.awaitDetail(t, "is ready", server, func(s serverDetail) bool { return s.Ready })
}

// down has a program stop a server, and waits until it has ended.
func (c *child) down(t *testing.T, server string) {
	t.Helper()
	c.must(t, http.MethodDelete, "/users/"+server, http.StatusNoContent, http.StatusAccepted)
	c.awaitDetail(t, "is stopped", server, func(s serverDetail) bool { return s.Stopped })
}

// refusedStart is what a program is told that asks for a start when there is no turn for it.
func (c *child) refusedStart(t *testing.T, user string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/hub/api/users/"+user+"/server", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+c.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if after, err := time.ParseDuration(res.Header.Get("Retry-After") + "s"); res.StatusCode != http.StatusTooManyRequests || err != nil || after <= 0 {
		t.Errorf("a program that asks for the server of %s gets %s with Retry-After %q", user, res.Status, res.Header.Get("Retry-After"))
	}
}

// group makes users the members of a group, as a provider would.
func (c *child) group(t *testing.T, name string, users ...string) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: c.dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, user := range users {
		u, err := db.UserByName(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		u.Groups = []string{name}
		if err := db.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
}

// person is somebody with a browser without scripts.
type person struct {
	*http.Client
	hub  *child
	name string
}

func (c *child) person(t *testing.T, name string) person {
	t.Helper()
	return person{login(t, c.URL, name), c, name}
}

// page returns one of the hub's pages.
func (p person) page(t *testing.T, path string) string {
	t.Helper()
	return read(t, p.Client, http.MethodGet, p.hub.URL+"/hub/"+path, nil)
}

// send sends a form, and returns the page that this leads to.
func (p person) send(t *testing.T, path string, form url.Values) string {
	t.Helper()
	token := xsrfPattern.FindStringSubmatch(p.page(t, "home"))
	if token == nil {
		t.Fatalf("the home page of %s has no page token", p.name)
	}
	fields := url.Values{"_xsrf": {token[1]}}
	maps.Copy(fields, form)
	return read(t, p.Client, http.MethodPost, p.hub.URL+"/hub/"+path, fields)
}

// start asks for the server on the page.
func (p person) start(t *testing.T) {
	t.Helper()
	if p.hub.history != nil {
		clicks(p.hub.history, p.name, checker.Start)
	}
	p.send(t, "spawn", nil)
}

// sees waits until a page says all of this.
func (p person) sees(t *testing.T, path string, texts ...string) {
	t.Helper()
	await(t, p.name+" sees "+strings.Join(texts, " "), slowly, func() error {
		page := html.UnescapeString(p.page(t, path))
		for _, text := range texts {
			if !strings.Contains(page, text) {
				return fmt.Errorf("%q is not on the page:\n%s", text, page)
			}
		}
		return nil
	})
}

// pageOf opens a page of the real browser, in which the person is logged in.
func (l *notebookLife) pageOf(t *testing.T, c *child, name string) *browser.Page {
	t.Helper()
	p := l.browser.Page(t)
	p.SetPatience(slowly)
	p.Open(c.URL + "/hub/login")
	p.Fill("#username_input", name)
	p.Click("#login_submit")
	p.WaitVisible("#mine")
	return p
}

// machinePython is the machine's own Python with a shell, for drivers that show a job nothing else.
func machinePython(t *testing.T) *rootfs.Set {
	t.Helper()
	const program = "/usr/bin/python3"
	library, err := filepath.EvalSymlinks(program)
	if err != nil {
		browser.Missing(t, err)
	}
	set := &rootfs.Set{}
	if err := set.AddPrograms("/bin/sh", program, "mkdir", "sleep"); err != nil {
		t.Fatal(err)
	}
	library = filepath.Join("/usr/lib", filepath.Base(library))
	err = set.AddTree(library, "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "unittest", "site-packages", "dist-packages")
	if err != nil {
		t.Fatal(err)
	}
	set.WriteFile("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
	set.WriteFile("/etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n")
	set.Mkdir("/tmp", os.ModeSticky|0o777, 0, 0)
	return set
}
