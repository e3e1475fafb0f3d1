package nomad_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// knownOpen is what a notebook gets that it should rather not, by driver. It is told in docs/explanation/security.md, "What a notebook reaches". Whatever is not
// here must be denied; and what is here must be there, which also shows that the probes can succeed.
var knownOpen = map[string][]string{
	"docker": {forFirewall},
	"exec": {
		"port: the other notebook", "port: the hub's metrics",
	},
	"raw_exec": {
		"port: the other notebook", "port: the hub's metrics", "file: the other's home",
		"file: a file of the machine", "file: the other's log", "file: the other's own folder", "process: environment of the other notebook",
	},
}

// forFirewall is for the machine's firewall to decide: one that filters what crosses bridges may close it.
const forFirewall = "port: the other notebook in its container"

// ownRight is what a notebook may do by right, when its jobspec gives it its identities. It shows that all three are reached.
var ownRight = []string{"Nomad: read the own variable", "Consul: ask who leads", "Vault: read the own secrets"}

// TestF34NotebookIsHeld runs a hostile program as one user's server beside another user's and the hub, on agents with access control and with the
// policies that come with the hub. It has the best that an operator might give it, which the jobspecs do not: proofs of its identity for Nomad, Consul and Vault.
func TestF34NotebookIsHeld(t *testing.T) {
	t.Parallel()
	c := &heldCluster{driverCluster: startDriverCluster(t)}
	c.startHub(t)
	t.Run("drivers", func(t *testing.T) {
		for driver := range knownOpen {
			t.Run(driver, func(t *testing.T) {
				t.Parallel()
				c.testAttack(t, driver)
			})
		}
	})
}

// heldCluster is a cluster with a hub: a program that has the hub's job, account, policies, tokens and secrets.
type heldCluster struct {
	*driverCluster
	hubAlloc, hubSecret string
	metrics             int
	canary              string // a file that everybody on the machine may read
}

// What stands for a binding of the hub in Consul.
const hubsKey, hubsValue = "nomadhub/f34", "the hub's own"

// standIn is the program of that hub. It answers where Nomad and the test ask if it lives.
func standIn(args []string) error {
	c, err := config.Load(config.Default("/nonexistent"), args, os.Environ())
	if err != nil {
		return err
	}
	server := &http.Server{Addr: c.Listen.Metrics, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func (c *heldCluster) startHub(t *testing.T) {
	t.Helper()
	ports, err := stack.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	c.metrics, c.hubSecret = ports[2], "postgres://hub:only-the-hubs@127.0.0.1:1/nomadhub"
	if err := hubjob.Prepare(t.Context(), c.stack, map[string]map[string]any{"postgres": {"dsn": c.hubSecret}}); err != nil {
		t.Fatal(err)
	}
	if err := hubjob.Submit(t.Context(), c.stack, hubjob.Options{
		Binary: c.program, User: "daemon", PublicURL: "http://hub.example.org", PublicPort: ports[0], ServersPort: ports[1], MetricsPort: ports[2],
		Config: "login {\n  admin_users = [\"ada\"]\n}\n",
	}); err != nil {
		t.Fatal(err)
	}
	allocs, _, err := c.admin.Jobs().Allocations(hubjob.JobID, false, &api.QueryOptions{Namespace: hubjob.Namespace})
	if err != nil || len(allocs) != 1 {
		t.Fatalf("the hub has %d allocations, %v", len(allocs), err)
	}
	c.hubAlloc = allocs[0].ID
	c.canary = filepath.Join(openDir(t), "canary")
	if err := os.WriteFile(c.canary, []byte("for everybody\n"), 0o644); err != nil { //nolint:gosec // that is what it is for
		t.Fatal(err)
	}
	if _, err := c.consul.Client.KV().Put(&consul.KVPair{Key: hubsKey, Value: []byte(hubsValue)}, nil); err != nil {
		t.Fatal(err)
	}
}

// testAttack lets one server attack another of the same driver.
func (c *heldCluster) testAttack(t *testing.T, driver string) {
	options := c.heldOptions(t, driver)
	secret := "only-the-others-" + driver
	victim := c.heldSpec(t, options, "other", driver)
	victim.Env["SCHEDULERTEST_BEHAVIOUR"], victim.URLVariable, victim.URLPath, victim.HealthPath = "serve", schedulertest.URLVariable, "/user/other/", "/user/other/"
	victim.Secrets = map[string]string{"JUPYTERHUB_API_TOKEN": secret}
	victim.Service = "notebook-" + heldHome(driver, "other")
	s := open(t, options)
	c.start(t, s, victim)
	status := awaitStatus(t, s, "other", func(s scheduler.Status) bool { return s.State != scheduler.Pending })
	if status.State != scheduler.Running {
		t.Fatalf("the other server does not run: %s", status.Reason)
	}

	told, err := s.Advise(t.Context(), victim)
	if err != nil || strings.Contains(strings.Join(told, "\n"), "users can read each other's files") {
		t.Errorf("the operator is told %q, %v", told, err)
	}
	if driver == "exec" {
		c.requireWarning(t, options, victim)
	}
	plan := c.plan(t, driver, options, status)
	plan.OtherSecret, plan.OtherService = secret, victim.Service
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	armed := options
	armed.Jobspec = inTask(identities)(options.Jobspec)
	attacker := open(t, armed)
	spec := c.heldSpec(t, options, "own", driver)
	spec.Env[attackVariable] = string(text)
	c.start(t, attacker, spec)
	results := c.readReport(t, attacker, "own")
	judgeReport(t, driver, results)

	after, err := s.Status(t.Context(), "other")
	if err != nil || after.Instance != status.Instance || after.State != scheduler.Running {
		t.Errorf("the other server after the attack: %+v, %v", after, err)
	}
	binding, _, err := c.consul.Client.KV().Get(hubsKey, nil)
	if err != nil || binding == nil || string(binding.Value) != hubsValue {
		t.Errorf("the hub's binding after the attack: %+v, %v", binding, err)
	}
	c.stop(t, attacker, "own")
	c.stop(t, s, "other")
	c.purge(t, options.JobPrefix)
}

// requireWarning: who gives all users one volume for their homes is told what that means.
func (c *heldCluster) requireWarning(t *testing.T, options nomad.Options, spec scheduler.Spec) {
	t.Helper()
	options.Variables = maps.Clone(options.Variables)
	options.Variables["shared_home_volume"] = homesVolume
	spec.Workload.Mounts = nil
	told, err := open(t, options).Advise(t.Context(), spec)
	if err != nil || !strings.Contains(strings.Join(told, "\n"), "users can read each other's files") {
		t.Errorf("with homes that are shared the operator is told %q, %v", told, err)
	}
}

// identities are the proofs that an operator could give to notebooks. The names are those of files in the task's folder of secrets.
const identities = `identity {
        env  = true
        file = true
      }

      identity {
        name = "consul"
        aud  = ["consul.io"]
        file = true
        ttl  = "1h"
      }

      identity {
        name = "vault"
        aud  = ["vault.io"]
        file = true
        ttl  = "1h"
      }`

func (c *heldCluster) heldOptions(t *testing.T, driver string) nomad.Options {
	t.Helper()
	options := c.options(t)
	switch driver {
	case "raw_exec":
		options.Variables["home_base"] = c.homes
		options.Variables["args"] = "[]"
		return options
	case "exec": // a volume is where the chroot has room for a program
		options = runs(t, c.driverOptions(t, driver), "/srv/"+filepath.Base(copyProgram(t, c.homes)))
		options.Jobspec = withVolume(options.Jobspec, homesVolume, "/srv", true)
	case "docker":
		options = runs(t, c.driverOptions(t, driver), c.self)
		options.Variables["home_volume"], options.Variables["home"] = "f34", "/home/nobody"
	}
	return options
}

// heldSpec is a server with a home and, where the driver mounts any, a volume that the hub made for it.
func (c *heldCluster) heldSpec(t *testing.T, options nomad.Options, id, driver string) scheduler.Spec {
	t.Helper()
	spec := scheduler.Spec{ID: id, Generation: 1, Home: heldHome(driver, id), Env: map[string]string{}}
	if driver == "raw_exec" {
		return spec
	}
	volume := scheduler.Volume{ID: id, Kind: scheduler.MountDynamic, Parameters: map[string]string{"mode": "0770", "uid": "65534", "gid": "65534"}}
	keeper := open(t, options)
	state, err := keeper.EnsureVolume(t.Context(), volume)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.discardVolumes(t, options.JobPrefix) })
	spec.Workload.Mounts = []scheduler.Mount{{Name: "data", Kind: scheduler.MountDynamic, Source: state.Name, Path: map[string]string{"docker": "/data", "exec": "/home/notebook"}[driver]}}
	return spec
}

func heldHome(driver, id string) string { return strings.ReplaceAll(driver, "_", "-") + "-" + id }

// plan tells the attacker where everything is.
func (c *heldCluster) plan(t *testing.T, driver string, options nomad.Options, other scheduler.Status) attackPlan {
	t.Helper()
	alloc, _, err := c.admin.Allocations().Info(other.Instance, nil)
	if err != nil {
		t.Fatal(err)
	}
	node, _, err := c.admin.Nodes().Info(alloc.NodeID, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(c.stack.Dir, "nomad", "alloc")
	task, hub := filepath.Join(dir, other.Instance, "notebook"), filepath.Join(dir, c.hubAlloc, "hub")
	p := attackPlan{
		Nomad: []string{c.admin.Address(), "http://" + node.HTTPAddr}, Consul: []string{c.consul.Address}, Vault: []string{c.stack.Vault.Address},
		OwnJob: options.JobPrefix + "own", OtherJob: options.JobPrefix + "other", OtherAlloc: other.Instance, Node: alloc.NodeID, HubSecret: c.hubSecret,
		OtherVolume: "none",
		Files: map[string]string{
			"the other's secrets": filepath.Join(task, "secrets", "nomadhub.env"), "the other's own folder": filepath.Join(task, "local"),
			"the other's log": filepath.Join(dir, other.Instance, "alloc", "logs", "notebook.stdout.0"),
			"the hub's token": filepath.Join(hub, "secrets", "nomad_token"), "the hub's database": filepath.Join(hub, "secrets", "hub.env"),
			"Nomad's configuration": filepath.Join(c.stack.Dir, "nomad-client.json"), "Nomad's state": filepath.Join(c.stack.Dir, "nomad", "client"),
			"Vault's data": filepath.Join(c.stack.Dir, "vault"), "a file of the machine": c.canary, "passwords of the machine": "/etc/shadow",
			"the other's home": map[string]string{
				"raw_exec": filepath.Join(c.homes, heldHome(driver, "other")), "exec": "/home/" + heldHome(driver, "other"), // its volume is added below
				"docker": filepath.Join(c.engine.Dir, "data", "volumes", "f34-"+heldHome(driver, "other"), "_data"),
			}[driver],
		},
		Dials: map[string]string{
			"the other notebook": other.Address, "the hub's metrics": net.JoinHostPort("127.0.0.1", strconv.Itoa(c.metrics)), "the engine's socket": c.engine.Socket,
		},
	}
	c.addVolume(t, &p, options.JobPrefix)
	for _, job := range []string{p.OwnJob, p.OtherJob} {
		if err := c.stack.Vault.Write(t.Context(), namespace+"/"+job, map[string]any{"of": job}); err != nil {
			t.Fatal(err)
		}
	}
	if driver == "docker" {
		c.addContainer(t, &p, "notebook-"+other.Instance)
	}
	return p
}

// addVolume adds the other's volume, where it has one.
func (c *heldCluster) addVolume(t *testing.T, p *attackPlan, prefix string) {
	t.Helper()
	stubs, _, err := c.admin.HostVolumes().List(nil, &api.QueryOptions{Prefix: prefix + "other"})
	if err != nil {
		t.Fatal(err)
	}
	for _, stub := range stubs {
		volume, _, err := c.admin.HostVolumes().Get(stub.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.OtherVolume, p.Files["the other's volume"] = volume.ID, volume.HostPath
	}
}

// addContainer adds what is beside a container: the agents by the machine's address on the bridge, as if they listened there, and the other's own address.
func (c *heldCluster) addContainer(t *testing.T, p *attackPlan, name string) {
	t.Helper()
	for _, addresses := range []*[]string{&p.Nomad, &p.Consul, &p.Vault} {
		for _, address := range slices.Clone(*addresses) {
			at, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			port, err := strconv.Atoi(at.Port())
			if err != nil {
				t.Fatal(err)
			}
			*addresses = append(*addresses, "http://"+c.engine.Expose(t, port))
		}
	}
	all, err := c.engine.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(each dockerd.Container) bool { return strings.Contains(strings.Join(each.Names, " "), name) })
	if at < 0 {
		t.Fatalf("no container %s among %+v", name, all)
	}
	var container struct {
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	if err := c.engine.Inspect(t.Context(), all[at].ID, &container); err != nil {
		t.Fatal(err)
	}
	for network := range maps.Values(container.NetworkSettings.Networks) {
		p.Dials[strings.TrimPrefix(forFirewall, "port: ")] = net.JoinHostPort(network.IPAddress, "8888")
	}
}

// readReport waits until the attacker has printed all.
func (c *heldCluster) readReport(t *testing.T, s *nomad.Scheduler, id string) map[string]probeResult {
	t.Helper()
	results := map[string]probeResult{}
	awaitFor(t, "the attack has ended", 3*time.Minute, func() error {
		if status, err := s.Status(t.Context(), id); err != nil || status.State == scheduler.Dead {
			t.Fatalf("the attacker ended early: %s %v", status.Reason, err)
		}
		log, err := s.Log(t.Context(), id, scheduler.LogQuery{})
		if err != nil {
			return err
		}
		defer log.Close()
		clear(results)
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r probeResult
			if json.Unmarshal(lines.Bytes(), &r) == nil && r.Probe != "" {
				results[r.Probe] = r
			}
			if lines.Text() == attackEnd {
				return nil
			}
		}
		return fmt.Errorf("%d probes so far: %w", len(results), errors.Join(lines.Err(), errors.New("no end yet")))
	})
	return results
}

// judgeReport compares with what must be denied and what is known not to be.
func judgeReport(t *testing.T, driver string, results map[string]probeResult) {
	t.Helper()
	if len(results) < 80 {
		t.Errorf("only %d probes were made", len(results))
	}
	want := slices.Concat(knownOpen[driver], ownRight)
	for _, name := range slices.Sorted(maps.Keys(results)) {
		r, expected := results[name], probeDenied
		if slices.Contains(want, name) {
			expected = probeOpen
		}
		if r.Outcome != expected && name != forFirewall {
			t.Errorf("%s: %s, and must be %s:\n  %s", name, r.Outcome, expected, strings.Join(r.Details, "\n  "))
		}
	}
	for _, name := range want {
		if _, made := results[name]; !made {
			t.Errorf("the probe %q was not made", name)
		}
	}
	t.Logf("%s: %d probes, known to be open: %q", driver, len(results), knownOpen[driver])
}
