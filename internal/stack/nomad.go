package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	nomad "github.com/hashicorp/nomad/api"
)

// Nomad is one Nomad server, and one client (Node) that runs the jobs, with ACLs on, the raw_exec driver on, and workload
// identities that Consul and Vault trust. Server and client are processes of their own, as on real clusters: a server can be
// killed while its client goes on.
type Nomad struct {
	*Process          // the server
	Node     *Process // the client
	Address  string   // URL of the server
	Token    string   // the management token
	Client   *nomad.Client

	nodeAddress string
	drivers     []string // that the client must have before it counts as ready
	ports       *portRange
}

// cpuMHz is what the node offers. Two real cores would fit few notebooks of 500 MHz; they idle for most of a test, so the
// offer is what sixteen cores have.
const cpuMHz = 40000

// newNomad takes four ports: HTTP, RPC and gossip of the server, HTTP of the client.
func newNomad(o Options, path string, ports []int, c *Consul, v *Vault) (*Nomad, error) {
	n := &Nomad{Address: "http://" + hostPort(ports[0]), Token: uuid.NewString(), nodeAddress: "http://" + hostPort(ports[3]), drivers: o.Drivers.names()}
	var err error
	if n.ports, err = takePortRange(); err != nil {
		return nil, err
	}
	server, err := writeJSON(o.Dir, "nomad-server.json", merged(common(c, v), serverConfig(o.Dir, ports)))
	if err != nil {
		return nil, err
	}
	client, err := writeJSON(o.Dir, "nomad-client.json", merged(common(c, v), clientConfig(o, ports, n.ports)))
	if err != nil {
		return nil, err
	}
	n.Client, err = nomad.NewClient(&nomad.Config{Address: n.Address, SecretID: n.Token})
	if err != nil {
		return nil, fmt.Errorf("nomad client: %w", err)
	}
	n.Process = o.process("nomad-server", path, "agent", "-config="+server)
	n.ready = n.serverAnswers
	n.Node = o.process("nomad-client", path, "agent", "-config="+client)
	n.Node.ready = n.nodeAnswers
	return n, nil
}

func serverConfig(dir string, ports []int) map[string]any {
	return map[string]any{
		"data_dir": filepath.Join(dir, "nomad-server"),
		"ports":    map[string]any{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"server": map[string]any{
			"enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1,
			"default_scheduler_config": map[string]any{"memory_oversubscription_enabled": true},
		},
	}
}

func clientConfig(o Options, ports []int, tasks *portRange) map[string]any {
	config := map[string]any{
		"data_dir": filepath.Join(o.Dir, "nomad"),
		"ports":    map[string]any{"http": ports[3]},
		"client": merged(keepsEnded(), o.Drivers.client(), map[string]any{
			"enabled": true, "servers": []string{hostPort(ports[1])},
			"network_interface": "lo", "cpu_total_compute": cpuMHz,
			"min_dynamic_port": tasks.first, "max_dynamic_port": tasks.last,
			// The cloud fingerprinters ask addresses outside of this machine, and one stops the agent when AWS_CA_BUNDLE is set.
			"options": map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
		}),
		"plugin": o.Drivers.plugins(),
	}
	if o.Drivers.PluginDir != "" {
		config["plugin_dir"] = o.Drivers.PluginDir
	}
	return config
}

// keepsEnded has a client leave the files of ended tasks, which tests still read. By default it removes them when it has had 50, and at once on a disk that is
// four fifths full.
func keepsEnded() map[string]any {
	return map[string]any{"gc_max_allocs": 1000, "gc_disk_usage_threshold": 99, "gc_inode_usage_threshold": 99}
}

func common(c *Consul, v *Vault) map[string]any {
	identity := func(aud string) map[string]any { return map[string]any{"aud": []string{aud}, "ttl": "1h"} }
	return map[string]any{
		"name": "loopback", "bind_addr": loopback, "disable_update_check": true,
		"advertise": map[string]any{"http": loopback, "rpc": loopback, "serf": loopback},
		"acl":       map[string]any{"enabled": true},
		// Without it a client does not measure what tasks use.
		"telemetry": map[string]any{"publish_allocation_metrics": true},
		"consul": map[string]any{
			"address": hostPort(c.port), "token": c.nomadToken,
			"service_identity": identity("consul.io"), "task_identity": identity("consul.io"),
		},
		"vault": map[string]any{
			"enabled": true, "address": v.Address, "jwt_auth_backend_path": vaultMount,
			"create_from_role": vaultDefaultRole, "default_identity": identity("vault.io"),
		},
	}
}

func merged(all ...map[string]any) map[string]any {
	into := make(map[string]any)
	for _, one := range all {
		maps.Copy(into, one)
	}
	return into
}

// serverAnswers is nil when the server has a leader, usable ACLs and a key to sign identities with. A client that asks to
// register before there is a key is refused, and tries again only after half a minute.
func (n *Nomad) serverAnswers(ctx context.Context) error {
	if _, err := n.Client.Status().Leader(); err != nil {
		return err
	}
	if _, _, err := n.Client.ACLTokens().Self((&nomad.QueryOptions{}).WithContext(ctx)); err != nil {
		return errors.Join(err, n.bootstrap(ctx))
	}
	keys := struct{ Keys []any }{}
	if _, err := n.Client.Raw().Query("/.well-known/jwks.json", &keys, (&nomad.QueryOptions{}).WithContext(ctx)); err != nil {
		return err
	}
	if len(keys.Keys) == 0 {
		return errors.New("no key in the keyring yet")
	}
	return nil
}

// nodeAnswers is nil when the client itself answers and the server takes it for ready to run jobs.
func (n *Nomad) nodeAnswers(ctx context.Context) error {
	_, err := n.readyNode(ctx, n.nodeAddress, n.drivers, func(*nomad.NodeListStub) bool { return true })
	return err
}

// readyNode asks the client at an address whether it is well, and the server for a client that it means, with all these drivers.
func (n *Nomad) readyNode(ctx context.Context, address string, drivers []string, means func(*nomad.NodeListStub) bool) (*nomad.NodeListStub, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/agent/health?type=client", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the client answers %s", res.Status)
	}
	nodes, _, err := n.Client.Nodes().List((&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, err
	}
	for _, node := range nodes {
		missing := func(name string) bool { return node.Drivers[name] == nil || !node.Drivers[name].Healthy }
		if node.Status == nomad.NodeStatusReady && means(node) && !slices.ContainsFunc(drivers, missing) {
			return node, nil
		}
	}
	return nil, fmt.Errorf("the client is not ready yet, or not all of its drivers %v", drivers)
}

// bootstrap makes the management token that this Nomad was given. It fails where that was done before.
func (n *Nomad) bootstrap(ctx context.Context) error {
	_, _, err := n.Client.ACLTokens().BootstrapOpts(n.Token, (&nomad.WriteOptions{}).WithContext(ctx))
	return err
}

// JWKS is the address of the public keys that workload identities are signed with.
func (n *Nomad) JWKS() string { return n.Address + "/.well-known/jwks.json" }

// stopJobs deregisters every job and waits until no allocation runs, so that stopping the agent leaves no task behind: tasks
// outlive their agent by design.
func (n *Nomad) stopJobs(ctx context.Context) error {
	if n.PID() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	all := (&nomad.QueryOptions{Namespace: nomad.AllNamespacesNamespace}).WithContext(ctx)
	jobs, _, err := n.Client.Jobs().List(all)
	if err != nil {
		return fmt.Errorf("list the jobs to stop: %w", err)
	}
	for _, job := range jobs {
		w := (&nomad.WriteOptions{Namespace: job.Namespace}).WithContext(ctx)
		if _, _, err := n.Client.Jobs().Deregister(job.ID, false, w); err != nil {
			return fmt.Errorf("stop job %s: %w", job.ID, err)
		}
	}
	return poll(ctx, 100*time.Millisecond, func(context.Context) error {
		allocs, _, err := n.Client.Allocations().List(all)
		if err != nil {
			return err
		}
		for _, a := range allocs {
			if a.ClientStatus == nomad.AllocClientStatusPending || a.ClientStatus == nomad.AllocClientStatusRunning {
				return fmt.Errorf("allocation %s of job %s is %s", a.ID, a.JobID, a.ClientStatus)
			}
		}
		return nil
	})
}
