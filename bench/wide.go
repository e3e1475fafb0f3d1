package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/stack"
)

const (
	// perNode is how many servers one machine of a wide cluster shall run at most. Nomad's client lists all services of its machine in Consul for every one that it
	// registers, so ten thousand on one machine would take hours.
	perNode = 450
	// nodePorts is how many ports it has for them. All machines have the same address here, so no two may have the same port.
	nodePorts = 500
	mostNodes = (lastPort + 1 - firstPort) / nodePorts
	// mostServers is how many servers may run at once.
	mostServers = perNode * mostNodes
	// burstPerNode is the same while a burst is measured: as many notebooks start on one machine as such a machine may have.
	burstPerNode = 100
	// mostAllocations are kept, those that ended included.
	mostAllocations = 20_000
)

// startWide starts one Nomad server, one Consul server, and as many machines with a client of each as that many servers need. Their data is in memory.
func startWide(ctx context.Context, dir, standIns string, servers, perNode int) (*cluster, error) {
	c := &cluster{dir: dir, tools: map[string]string{}}
	for _, name := range []string{"nomad", "consul"} {
		path, err := stack.Binary(ctx, name)
		if err != nil {
			return nil, err
		}
		c.tools[name] = path
	}
	err := c.mountMemory()
	if err == nil {
		err = c.startServers(ctx)
	}
	nodes := min(max(1, (servers+perNode-1)/perNode), mostNodes)
	for i := range nodes {
		if err == nil {
			err = c.startNode(ctx, i)
		}
	}
	if err == nil {
		err = c.awaitNodes(ctx, nodes)
	}
	if err == nil {
		err = c.spreadOut()
	}
	if err == nil {
		err = c.startStandIns(ctx, standIns)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// data is where Nomad and Consul keep theirs.
func (c *cluster) data() string { return filepath.Join(c.dir, "d") } // sockets below it have long names

// mountMemory keeps their data in memory: what is measured is the hub, and not this machine's disk.
func (c *cluster) mountMemory() error {
	if err := os.MkdirAll(c.data(), 0o755); err != nil { //nolint:gosec // tasks of other accounts could be below it
		return err
	}
	if err := unix.Mount("tmpfs", c.data(), "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("memory for the data of Nomad and Consul: %w", err)
	}
	c.inMemory = true
	return nil
}

// unmountMemory lets go of that memory, with the thousands of mounts below it, in one call: one by one would take an hour. The names of allocations stay as empty
// folders, so that their control groups are found.
func (c *cluster) unmountMemory() error {
	if !c.inMemory {
		return nil
	}
	allocations, err := filepath.Glob(filepath.Join(c.data(), "n*", "alloc", "*"))
	if err != nil {
		return err
	}
	if err := unix.Unmount(c.data(), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the data of Nomad and Consul: %w", err)
	}
	for _, path := range allocations {
		if err := os.MkdirAll(filepath.Join(c.dir, "a", filepath.Base(path)), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// startServers starts the two servers, which run nothing themselves.
func (c *cluster) startServers(ctx context.Context) error {
	ports, err := freeport.Find(6)
	if err != nil {
		return err
	}
	if err := c.startConsul(ctx, ports[:3]); err != nil {
		return err
	}
	c.consulJoin, c.nomadJoin = loopback(ports[1+1]), loopback(ports[4])
	c.nomadAddress = "http://" + loopback(ports[3])
	config := c.nomadConfig("server", ports[3:], c.consulAddress)
	config["server"] = map[string]any{"enabled": true, "bootstrap_expect": 1, "event_buffer_size": eventBuffer}
	return c.startAgent(ctx, "nomad", config, func(ctx context.Context) error {
		leader, err := c.nomad.Status().Leader()
		if err == nil && leader == "" {
			err = errors.New("no server of Nomad leads")
		}
		return errors.Join(err, ctx.Err())
	})
}

// nomadConfig is what all agents of a wide cluster have in common.
func (c *cluster) nomadConfig(name string, ports []int, consul string) map[string]any {
	return map[string]any{
		"name": name, "enable_debug": true, "data_dir": filepath.Join(c.data(), name), "bind_addr": "127.0.0.1", "log_level": "WARN", "disable_update_check": true,
		"ports":     map[string]any{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"advertise": map[string]any{"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
		"consul":    map[string]any{"address": consul, "server_auto_join": false, "client_auto_join": false, "auto_advertise": false},
		"telemetry": map[string]any{"collection_interval": "1m"}, // it looks at all mounts as well
		// All that asks has one address.
		"limits": map[string]any{"http_max_conns_per_client": 0, "rpc_max_conns_per_client": 0},
	}
}

// startAgent starts an agent of Nomad and waits until it is as it should be. It has its own mounts: two for each server of one machine are what it looks through at each start there, and those of all
// machines took longer than all else.
func (c *cluster) startAgent(ctx context.Context, name string, config map[string]any, ready func(context.Context) error) error {
	path, err := c.writeConfig(name+".json", config)
	if err != nil {
		return err
	}
	if c.nomad == nil {
		if c.nomad, err = nomad.NewClient(&nomad.Config{Address: c.nomadAddress}); err != nil {
			return err
		}
	}
	p, err := c.start(program{name: name, path: c.tools["nomad"], args: []string{"agent", "-config=" + path}, env: []string{"GOGC=200"}, ownMounts: true})
	if err != nil || ready == nil {
		return err
	}
	return p.await(ctx, 2*time.Minute, ready)
}

// startNode starts a machine: a client of Nomad, and the client of Consul that it registers services with.
func (c *cluster) startNode(ctx context.Context, i int) error {
	ports, err := freeport.Find(5)
	if err != nil {
		return err
	}
	number := strconv.Itoa(i)
	consul := loopback(ports[0])
	path, err := c.writeConfig("consul"+number+".json", map[string]any{
		"node_name": "machine" + number, "data_dir": filepath.Join(c.data(), "c"+number), "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"log_level": "warn", "retry_join": []string{c.consulJoin}, "disable_update_check": true, "limits": map[string]any{"http_max_conns_per_client": 1000},
		"ports": map[string]any{"http": ports[0], "serf_lan": ports[1], "dns": -1, "grpc": -1, "grpc_tls": -1},
	})
	if err != nil {
		return err
	}
	p, err := c.start(program{name: "consul" + number, path: c.tools["consul"], args: []string{"agent", "-config-file=" + path}})
	if err != nil {
		return err
	}
	if err := p.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, "http://"+consul+"/v1/catalog/nodes") }); err != nil {
		return err
	}
	config := c.nomadConfig("n"+number, ports[2:], consul)
	config["client"] = map[string]any{
		"enabled": true, "servers": []string{c.nomadJoin}, "network_interface": "lo",
		"min_dynamic_port": firstPort + i*nodePorts, "max_dynamic_port": firstPort + (i+1)*nodePorts - 1,
		"cpu_total_compute": 1_000_000, "memory_total_mb": 1_000_000, "gc_max_allocs": mostAllocations,
		"gc_interval": "1h", // it looks at all mounts, of which each server has two
		// Else each server's environment is written by a process of its own.
		"template": map[string]any{"disable_file_sandbox": true},
		"options": map[string]any{
			"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean",
			"driver.allowlist":     "mock_driver", // others start programs again and again to find out whether they are there
		},
	}
	err = c.startAgent(ctx, "n"+number, config, nil)
	c.machines = append(c.machines, c.processes[len(c.processes)-2:]...)
	return err
}

// Machines have processors of their own where there are some. Here all share a core with the servers of Nomad and Consul, of which there is one each: so they come after these while it is
// measured what those have to answer, and are their equals while machines have much to do.
const (
	asEquals = 0
	behind   = 19
)

// nice gives this priority to all programs that stand for machines.
func (c *cluster) nice(priority int) error {
	return ofThreads(c.machines, func(thread int) error { return unix.Setpriority(unix.PRIO_PROCESS, thread, priority) })
}

func (c *cluster) awaitNodes(ctx context.Context, want int) error {
	return c.processes[len(c.processes)-1].await(ctx, 2*time.Minute, func(ctx context.Context) error {
		nodes, _, err := c.nomad.Nodes().List((&nomad.QueryOptions{}).WithContext(ctx))
		ready := 0
		for _, n := range nodes {
			if n.Status == nomad.NodeStatusReady {
				ready++
			}
		}
		if err == nil && ready < want {
			err = fmt.Errorf("%d of %d machines are ready", ready, want)
		}
		return err
	})
}

// spreadOut has Nomad give each machine the same number of servers, and not fill one after the other.
func (c *cluster) spreadOut() error {
	now, _, err := c.nomad.Operator().SchedulerGetConfiguration(nil)
	if err != nil {
		return err
	}
	config := *now.SchedulerConfig
	config.SchedulerAlgorithm = nomad.SchedulerAlgorithmSpread
	_, _, err = c.nomad.Operator().SchedulerSetConfiguration(&config, nil)
	return err
}
