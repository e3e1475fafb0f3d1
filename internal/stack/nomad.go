package stack

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	nomad "github.com/hashicorp/nomad/api"
)

// Nomad is one Nomad agent, server and client at once, with ACLs on, the raw_exec driver on, and workload identities that
// Consul and Vault trust.
type Nomad struct {
	*Process
	Address string // URL
	Token   string // the management token
	Client  *nomad.Client

	ports *portRange
}

// cpuMHz is what the client offers. Two real cores would fit few notebooks of 500 MHz; they idle for most of a test, so the
// offer is what sixteen cores have.
const cpuMHz = 40000

func newNomad(o Options, path string, ports []int, c *Consul, v *Vault) (*Nomad, error) {
	n := &Nomad{Address: "http://" + hostPort(ports[0]), Token: uuid.NewString()}
	var err error
	if n.ports, err = takePortRange(); err != nil {
		return nil, err
	}
	file, err := writeJSON(o.Dir, "nomad.json", n.config(o.Dir, ports, c, v))
	if err != nil {
		return nil, err
	}
	n.Client, err = nomad.NewClient(&nomad.Config{Address: n.Address, SecretID: n.Token})
	if err != nil {
		return nil, fmt.Errorf("nomad client: %w", err)
	}
	n.Process = o.process("nomad", path, "agent", "-config="+file)
	return n, nil
}

func (n *Nomad) config(dir string, ports []int, c *Consul, v *Vault) map[string]any {
	identity := func(aud string) map[string]any { return map[string]any{"aud": []string{aud}, "ttl": "1h"} }
	return map[string]any{
		"name": "loopback", "bind_addr": loopback, "data_dir": filepath.Join(dir, "nomad"),
		"ports":                map[string]any{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"advertise":            map[string]any{"http": loopback, "rpc": loopback, "serf": loopback},
		"disable_update_check": true,
		"acl":                  map[string]any{"enabled": true},
		"server": map[string]any{
			"enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1,
			"default_scheduler_config": map[string]any{"memory_oversubscription_enabled": true},
		},
		"client": map[string]any{
			"enabled": true, "network_interface": "lo", "cpu_total_compute": cpuMHz,
			"min_dynamic_port": n.ports.first, "max_dynamic_port": n.ports.last,
			// The cloud fingerprinters ask addresses outside of this machine, and one stops the agent when AWS_CA_BUNDLE is set.
			"options": map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
		},
		"plugin": []any{map[string]any{"raw_exec": map[string]any{"config": map[string]any{"enabled": true}}}},
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

// answers is nil when Nomad has a leader, its ACLs are usable and its own client is ready to run jobs.
func (n *Nomad) answers(ctx context.Context) error {
	if err := n.serverAnswers(ctx); err != nil {
		return err
	}
	nodes, _, err := n.Client.Nodes().List((&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node.Status == nomad.NodeStatusReady && node.Drivers["raw_exec"] != nil && node.Drivers["raw_exec"].Healthy {
			return nil
		}
	}
	return errors.New("the client is not ready yet")
}

// serverAnswers is nil when the server has a leader, usable ACLs and a key to sign identities with.
func (n *Nomad) serverAnswers(ctx context.Context) error {
	q := (&nomad.QueryOptions{}).WithContext(ctx)
	if _, err := n.Client.Status().Leader(); err != nil {
		return err
	}
	if _, _, err := n.Client.ACLTokens().Self(q); err != nil {
		return errors.Join(err, n.bootstrap(ctx))
	}
	keys, _, err := n.Client.Keyring().List(q)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return errors.New("no key in the keyring yet")
	}
	return nil
}

// firstStart starts an agent without data. In about every third first start the client asks to register in the moment before
// the server has made its first key, is refused, and tries again only after half a minute; a restart is faster.
func (n *Nomad) firstStart(ctx context.Context) error {
	n.ready = n.serverAnswers
	if err := n.Start(ctx); err != nil {
		return err
	}
	n.ready = n.answers
	soon, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	if poll(soon, pollEvery, n.answers) == nil {
		return nil
	}
	return n.Restart(ctx)
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
