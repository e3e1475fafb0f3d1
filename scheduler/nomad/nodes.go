package nomad

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// nodesAge is how long a list of the machines serves for what changes seldom: how fast their cores are, and how much they have in all.
const nodesAge = 30 * time.Second

// nodeCache is the last list of machines.
type nodeCache struct{ last atomic.Pointer[nodeList] }

type nodeList struct {
	at    time.Time
	nodes []scheduler.Node
}

// Nodes implements scheduler.Surveyor with one request. It needs the right to read nodes.
func (s *Scheduler) Nodes(ctx context.Context) ([]scheduler.Node, error) {
	q := s.query(ctx)
	q.Namespace, q.Params = "", map[string]string{"resources": "true"}
	stubs, _, err := s.client.Nodes().List(q)
	if err != nil {
		return nil, translate(ctx, "listing nodes", err)
	}
	nodes := make([]scheduler.Node, 0, len(stubs))
	for _, stub := range stubs {
		nodes = append(nodes, nodeOf(stub))
	}
	slices.SortFunc(nodes, func(a, b scheduler.Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	s.nodes.last.Store(&nodeList{time.Now(), slices.Clone(nodes)})
	return nodes, nil
}

// recentNodes returns the machines as they were not long ago, for what need not be newer.
func (s *Scheduler) recentNodes(ctx context.Context) ([]scheduler.Node, error) {
	last := s.nodes.last.Load()
	if last != nil && time.Since(last.at) < nodesAge {
		return last.nodes, nil
	}
	nodes, err := s.Nodes(ctx)
	if err != nil && last != nil && ctx.Err() == nil {
		return last.nodes, nil // old knowledge of how fast machines are is better than none
	}
	return nodes, err
}

func nodeOf(stub *api.NodeListStub) scheduler.Node {
	node := scheduler.Node{
		ID: stub.ID, Name: stub.Name, Pool: stub.NodePool, Datacenter: stub.Datacenter, Class: stub.NodeClass, Draining: stub.Drain,
		Ready: stub.Status == api.NodeStatusReady && stub.SchedulingEligibility == api.NodeSchedulingEligible,
	}
	for name, info := range stub.Drivers {
		if info != nil && info.Detected && info.Healthy {
			node.Drivers = append(node.Drivers, name)
		}
	}
	slices.Sort(node.Drivers)
	if r := stub.NodeResources; r != nil {
		node.CPU, node.MemoryMB, node.DiskMB = int(r.Cpu.CpuShares), r.Memory.MemoryMB, r.Disk.DiskMB
		if cores := int(r.Cpu.TotalCpuCores); cores > 0 {
			node.MHzPerCore = node.CPU / cores
		}
		node.Devices = deviceCounts(r.Devices)
	}
	if r := stub.ReservedResources; r != nil { // for the machine itself
		node.CPU -= int(min(r.Cpu.CpuShares, math.MaxInt32))
		node.MemoryMB -= int64(min(r.Memory.MemoryMB, math.MaxInt32))
		node.DiskMB -= int64(min(r.Disk.DiskMB, math.MaxInt32))
	}
	return node
}

func deviceCounts(groups []*api.NodeDeviceResource) map[string]int {
	var devices map[string]int
	for _, group := range groups {
		if group == nil {
			continue
		}
		healthy := 0
		for _, instance := range group.Instances {
			if instance != nil && instance.Healthy {
				healthy++
			}
		}
		if devices == nil {
			devices = make(map[string]int)
		}
		devices[group.Vendor+"/"+group.Type+"/"+group.Name] += healthy
	}
	return devices
}

// poolOf returns the machines that a job may run on by its node pool and datacenters.
func poolOf(nodes []scheduler.Node, job *api.Job) []scheduler.Node {
	pool := poolName(job)
	return slices.DeleteFunc(slices.Clone(nodes), func(n scheduler.Node) bool {
		inPool := pool == api.NodePoolAll || n.Pool == pool
		inDatacenter := len(job.Datacenters) == 0 || slices.ContainsFunc(job.Datacenters, func(glob string) bool {
			ok, err := path.Match(glob, n.Datacenter)
			return ok && err == nil
		})
		return !inPool || !inDatacenter
	})
}

func poolName(job *api.Job) string {
	if job.NodePool == nil || *job.NodePool == "" {
		return api.NodePoolDefault
	}
	return *job.NodePool
}

// inMHz turns what a Spec asks for in cores into MHz, which Nomad counts in. A limit that the driver can hold is reserved, because Nomad's
// drivers hold a container to what is reserved for it and to nothing else.
func (s *Scheduler) inMHz(ctx context.Context, job *api.Job, spec scheduler.Spec) (scheduler.Spec, error) {
	w := &spec.Workload
	_, task, err := notebookTask(job)
	if err != nil {
		return spec, err
	}
	core := s.coreOf(ctx, job, w.Placement)
	own := cmp.Or(w.Driver, task.Driver)
	if spec.Resources, err = convert(spec.Resources, own, core); err != nil {
		return spec, err
	}
	w.Tasks = slices.Clone(w.Tasks)
	for i := range w.Tasks {
		t := &w.Tasks[i]
		if t.Resources, err = convert(t.Resources, cmp.Or(t.Driver, own), core); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func convert(r scheduler.Resources, driverName string, core func() (int, error)) (scheduler.Resources, error) {
	kind, _ := driverNamed(driverName)
	held := kind.container && r.CPULimit > 0 && r.Cores == 0
	if r.CPUGuarantee == 0 && !held {
		return r, nil
	}
	mhz, err := core()
	if err != nil {
		return r, err
	}
	if r.CPUGuarantee > 0 {
		r.CPU = max(1, int(math.Ceil(r.CPUGuarantee*float64(mhz))))
	}
	if held {
		limit := max(1, int(math.Ceil(r.CPULimit*float64(mhz))))
		if r.CPU > limit {
			return r, refuse("The processor limit of %g cores is %d MHz on these machines, below the %d MHz that are reserved.", r.CPULimit, limit, r.CPU)
		}
		r.CPU = limit
	}
	r.CPUGuarantee = 0
	return r, nil
}

// coreOf returns a function that says how many MHz a core has on the slowest machine where the server may run.
func (s *Scheduler) coreOf(ctx context.Context, job *api.Job, p scheduler.Placement) func() (int, error) {
	return func() (int, error) {
		if s.opts.MHzPerCore > 0 {
			return s.opts.MHzPerCore, nil
		}
		nodes, err := s.recentNodes(ctx)
		if isForbidden(err) {
			return 0, refuse("The hub cannot tell how fast a processor core is: an operator must let its Nomad token read nodes, or say it in the hub's configuration (nomad, mhz_per_core).")
		}
		if err != nil {
			return 0, err
		}
		placed := *job
		placed.NodePool = cmp.Or(orNothing(p.NodePool), job.NodePool)
		if p.Datacenters != nil {
			placed.Datacenters = p.Datacenters
		}
		if mhz := slowest(poolOf(nodes, &placed)); mhz > 0 {
			return mhz, nil
		}
		if mhz := slowest(nodes); mhz > 0 { // the pool is empty; what waits for its first machine needs some number
			return mhz, nil
		}
		return 0, fmt.Errorf("nomad: no machine says how fast its cores are: %w", scheduler.ErrUnavailable)
	}
}

func orNothing(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// slowest prefers machines that take work now.
func slowest(nodes []scheduler.Node) int {
	ready, all := 0, 0
	for _, n := range nodes {
		if n.MHzPerCore == 0 {
			continue
		}
		if all == 0 || n.MHzPerCore < all {
			all = n.MHzPerCore
		}
		if n.Ready && (ready == 0 || n.MHzPerCore < ready) {
			ready = n.MHzPerCore
		}
	}
	return cmp.Or(ready, all)
}
