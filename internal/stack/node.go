package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	nomad "github.com/hashicorp/nomad/api"
)

// NodeOptions say what another Nomad client is like.
type NodeOptions struct {
	Name string // of the machine, as Nomad shows it; short, and not that of another
	Pool string // its node pool; "" is Nomad's default
	// MemoryMB is how much memory it offers; 0: what this machine has.
	MemoryMB int
	Drivers  Drivers
}

// Node is another Nomad client of a stack, as a second machine of the cluster is. It can be killed, frozen and started again on its data.
type Node struct {
	*Process
	ID  string // Nomad's, once it is ready
	Dir string // its data

	stack   *Stack
	o       NodeOptions
	address string
	ports   *portRange
}

// AddNode starts another client and returns when it is ready to run jobs. Who adds it stops it by [Node.Stop], after its jobs.
func (s *Stack) AddNode(ctx context.Context, o NodeOptions) (*Node, error) {
	n := &Node{stack: s, o: o, Dir: filepath.Join(s.Dir, o.Name)}
	path, err := Binary(ctx, "nomad")
	if err != nil {
		return nil, err
	}
	port, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	n.address = "http://" + hostPort(port[0])
	if n.ports, err = takePortRange(); err != nil {
		return nil, err
	}
	config, err := n.config(ctx, port[0])
	if err != nil {
		return nil, errors.Join(err, n.ports.release())
	}
	file, err := writeJSON(s.Dir, o.Name+".json", config)
	if err == nil {
		err = os.MkdirAll(n.Dir, 0o711) //nolint:gosec // other accounts pass through it to their tasks
	}
	if err != nil {
		return nil, errors.Join(err, n.ports.release())
	}
	n.Process = Options{Dir: s.Dir, Logger: s.logger}.process(o.Name, path, "agent", "-config="+file)
	n.ready = n.answers
	if err := n.Start(ctx); err != nil {
		return nil, errors.Join(err, n.ports.release())
	}
	return n, nil
}

func (n *Node) config(ctx context.Context, port int) (map[string]any, error) {
	var self struct {
		Config struct{ Ports struct{ RPC int } }
	}
	_, err := n.stack.Nomad.Client.Raw().Query("/v1/agent/self", &self, (&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("ask the Nomad server for its port: %w", err)
	}
	client := merged(keepsEnded(), n.o.Drivers.client(), map[string]any{
		"enabled": true, "servers": []string{hostPort(self.Config.Ports.RPC)},
		"network_interface": "lo", "cpu_total_compute": cpuMHz,
		"min_dynamic_port": n.ports.first, "max_dynamic_port": n.ports.last,
		"options": map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
	})
	if n.o.Pool != "" {
		client["node_pool"] = n.o.Pool
	}
	if n.o.MemoryMB > 0 {
		client["memory_total_mb"] = n.o.MemoryMB
	}
	config := maps.Clone(common(n.stack.Consul, n.stack.Vault))
	config["name"] = n.o.Name
	return merged(config, map[string]any{
		"data_dir": n.Dir, "ports": map[string]any{"http": port}, "client": client, "plugin": n.o.Drivers.plugins(),
	}), nil
}

// answers is nil when the client itself answers and the server takes it for ready to run jobs.
func (n *Node) answers(ctx context.Context) error {
	node, err := n.stack.Nomad.readyNode(ctx, n.address, n.o.Drivers.names(), func(stub *nomad.NodeListStub) bool { return stub.Name == n.o.Name })
	if err == nil {
		n.ID = node.ID
	}
	return err
}

// Name is what Nomad calls the machine.
func (n *Node) Name() string { return n.o.Name }

// Stop ends the client in its own orderly way. Its tasks would go on, so jobs are to be stopped before.
func (n *Node) Stop() error { return errors.Join(n.Process.Stop(), n.ports.release()) }
