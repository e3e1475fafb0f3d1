package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/freeport"
	"github.com/nomadhub/nomadhub/internal/leftover"
	"github.com/nomadhub/nomadhub/internal/stack"
)

// Ports that Nomad gives to servers.
const (
	firstPort = 20000
	lastPort  = 31999
)

// cluster is one Nomad, server and client in one, and one Consul, in memory and without access control: what is measured is the hub.
type cluster struct {
	dir           string
	nomadAddress  string
	consulAddress string
	consulJoin    string // where clients of Consul find its server
	nomadJoin     string // and those of Nomad theirs
	inMemory      bool   // the data of both is
	nomad         *nomad.Client
	processes     []*child // in the order of their start
	machines      []*child // those of them that stand for other machines
	tools         map[string]string
}

// startCluster starts both. Given this program's path, it also starts what answers at the ports of jobs that run nothing.
func startCluster(ctx context.Context, dir, standIns string) (*cluster, error) {
	c := &cluster{dir: dir, tools: map[string]string{}}
	for _, name := range []string{"nomad", "consul"} {
		path, err := stack.Binary(ctx, name)
		if err != nil {
			return nil, err
		}
		c.tools[name] = path
	}
	ports, err := freeport.Find(7)
	if err != nil {
		return nil, err
	}
	err = errors.Join(c.startConsul(ctx, ports[:3]), c.startNomad(ctx, ports[3:]))
	if err == nil && standIns != "" {
		err = c.startStandIns(ctx, standIns)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func (c *cluster) start(p program) (*child, error) {
	p.core = coreForRest
	p.env = append(slices.Clip(p.env), c.leftovers().Mark())
	started, err := spawn(c.dir, p)
	if err == nil {
		c.processes = append(c.processes, started)
	}
	return started, err
}

func (c *cluster) startConsul(ctx context.Context, ports []int) error {
	c.consulAddress = loopback(ports[0])
	config, err := c.writeConfig("consul.json", map[string]any{
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "log_level": "warn",
		"ports": map[string]any{"http": ports[0], "server": ports[1], "serf_lan": ports[2], "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
	})
	if err != nil {
		return err
	}
	p, err := c.start(program{name: "consul", path: c.tools["consul"], args: []string{"agent", "-dev", "-config-file=" + config}})
	if err != nil {
		return err
	}
	return p.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, "http://"+c.consulAddress+"/v1/catalog/nodes") })
}

// eventBuffer is how many events Nomad keeps for those who follow it. By default it is 100, and a burst of some hundreds cuts off everybody who reads a little slower, the peer as well as the hub:
// the hub begins anew, the peer would wait for ever.
const eventBuffer = 50_000

func (c *cluster) startNomad(ctx context.Context, ports []int) error {
	c.nomadAddress = "http://" + loopback(ports[0])
	config, err := c.writeConfig("nomad.json", map[string]any{
		"bind_addr": "127.0.0.1", "log_level": "WARN", "disable_update_check": true,
		"ports":     map[string]any{"http": ports[0], "rpc": ports[1], "serf": ports[2]},
		"advertise": map[string]any{"http": "127.0.0.1", "rpc": "127.0.0.1", "serf": "127.0.0.1"},
		"consul":    map[string]any{"address": c.consulAddress},
		"server":    map[string]any{"event_buffer_size": eventBuffer},
		"client": map[string]any{
			"enabled": true, "network_interface": "lo", "alloc_dir": filepath.Join(c.dir, "a"), // sockets below it have long names
			"min_dynamic_port": firstPort, "max_dynamic_port": lastPort,
			"cpu_total_compute": 1_000_000, "memory_total_mb": 1_000_000,
			"options":       map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean"},
			"gc_max_allocs": mostAllocations,
		},
		"plugin": []any{map[string]any{"raw_exec": map[string]any{"config": map[string]any{"enabled": true}}}},
	})
	if err != nil {
		return err
	}
	if c.nomad, err = nomad.NewClient(&nomad.Config{Address: c.nomadAddress}); err != nil {
		return err
	}
	p, err := c.start(program{name: "nomad", path: c.tools["nomad"], args: []string{"agent", "-dev", "-config=" + config}})
	if err != nil {
		return err
	}
	return p.await(ctx, 2*time.Minute, c.nodeIsReady)
}

func (c *cluster) nodeIsReady(ctx context.Context) error {
	nodes, _, err := c.nomad.Nodes().List((&nomad.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Status == nomad.NodeStatusReady && n.Drivers["raw_exec"] != nil && n.Drivers["raw_exec"].Healthy {
			return nil
		}
	}
	return errors.New("the client of Nomad is not ready")
}

// hasMock tells whether this build of Nomad has the driver that runs nothing. Released builds do not.
func (c *cluster) hasMock(ctx context.Context) bool {
	nodes, _, err := c.nomad.Nodes().List((&nomad.QueryOptions{}).WithContext(ctx))
	return err == nil && len(nodes) > 0 && nodes[0].Drivers["mock_driver"] != nil && nodes[0].Drivers["mock_driver"].Detected
}

// standInPorts is at how many ports one process answers: it may not open many more files.
const standInPorts = 6000

func (c *cluster) startStandIns(ctx context.Context, self string) error {
	for first := firstPort; first <= lastPort; first += standInPorts {
		last := min(first+standInPorts-1, lastPort)
		p, err := c.start(program{
			name: "notebooks-" + strconv.Itoa(first), path: self,
			args: []string{"notebooks", "-first", strconv.Itoa(first), "-last", strconv.Itoa(last)},
		})
		if err != nil {
			return err
		}
		if err := p.await(ctx, time.Minute, func(ctx context.Context) error { return answers(ctx, "http://"+loopback(last)+"/") }); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) writeConfig(name string, v any) (string, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, name)
	return path, os.WriteFile(path, text, 0o600)
}

// sweepTimeout is for thousands of tasks and their control groups.
const sweepTimeout = 3 * time.Minute

// leftovers are what Nomad started and made, which outlives it when it is killed: tasks, mounts and control groups.
func (c *cluster) leftovers() leftover.Run {
	return leftover.Run{Dir: c.dir, Made: []string{"a/*"}}
}

// stop ends everything at once: nothing of it is kept.
func (c *cluster) stop() {
	for _, p := range slices.Backward(c.processes) {
		p.kill()
	}
	if err := c.unmountMemory(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
	defer cancel()
	if err := c.leftovers().Sweep(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// answers is nil if the URL answers below 400.
func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", url, res.Status)
	}
	return nil
}
