package nomad

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

const waiting = "Waiting for a machine: "

// obstacle is what Nomad's scheduler says of why it finds no place.
type obstacle struct {
	why
	resource string // what is short: "memory", "cpu", "disk", "port", a device, or ""
	pool     string // the node pool that was looked at
	// filtered is true if no machine that was looked at may run the server at all, however empty it were.
	filtered bool
	nodes    int // how many machines of pool and datacenters are ready
}

// blockedReason says, from what Nomad's scheduler measured, why it finds no place. It returns nothing if it found one.
func blockedReason(failed map[string]*api.AllocationMetric) why {
	found := obstacleOf(failed)
	if found == nil {
		return why{}
	}
	return why{waiting + found.reason, found.cause}
}

// obstacleOf returns nil if a place was found.
func obstacleOf(failed map[string]*api.AllocationMetric) *obstacle {
	for _, group := range slices.Sorted(maps.Keys(failed)) {
		if metric := failed[group]; metric != nil {
			found := whyNoPlace(metric)
			found.pool, found.nodes = metric.NodePool, metric.NodesInPool
			return &found
		}
	}
	return nil
}

func whyNoPlace(m *api.AllocationMetric) obstacle {
	switch {
	case len(m.QuotaExhausted) > 0:
		return obstacle{why: why{"the quota is used up (" + strings.Join(m.QuotaExhausted, ", ") + ").", scheduler.CauseExhausted}}
	case m.NodesEvaluated == 0:
		return obstacle{why: why{"none is ready that may run notebooks" + inPool(m.NodePool) + ".", scheduler.CauseConstraint}, filtered: true}
	case m.NodesExhausted > 0:
		return exhausted(m)
	case len(m.ConstraintFiltered) > 0:
		return filtered(m)
	}
	return obstacle{why: why{noneOf(m.NodesEvaluated, "may run it", "may not run it") + ".", scheduler.CauseConstraint}, filtered: true}
}

// inPool names a pool that an operator made.
func inPool(pool string) string {
	if pool == "" || pool == api.NodePoolDefault || pool == api.NodePoolAll {
		return ""
	}
	return " in pool " + pool
}

// exhausted names what was asked for and what is missing, such as "4 GB of memory asked, none of 3 nodes has it free."
func exhausted(m *api.AllocationMetric) obstacle {
	nodes := m.NodesEvaluated - m.NodesFiltered
	missing := make([]string, 0, len(m.DimensionExhausted))
	found := obstacle{why: why{cause: scheduler.CauseExhausted}}
	most := 0
	for _, dimension := range slices.Sorted(maps.Keys(m.DimensionExhausted)) {
		missing = append(missing, asked(m, dimension))
		if n := m.DimensionExhausted[dimension]; n > most {
			most, found.resource = n, resourceOf(dimension)
		}
	}
	if found.resource == "port" && len(missing) == 1 {
		found.cause = scheduler.CausePort
	}
	if len(missing) == 0 {
		found.reason = noneOf(nodes, "has room", "has no room") + "."
		return found
	}
	found.reason = strings.Join(missing, ", ") + " asked, " + noneOf(nodes, "has it free", "does not have it free") + "."
	return found
}

// resourceOf names a dimension of Nomad's in one word.
func resourceOf(dimension string) string {
	switch {
	case dimension == "memory" || dimension == "cpu" || dimension == "disk":
		return dimension
	case strings.HasSuffix(dimension, "cores"):
		return "cpu"
	case strings.HasPrefix(dimension, "network: "):
		return "port"
	case strings.HasPrefix(dimension, "devices: "):
		return "device"
	}
	return ""
}

// asked says how much of a dimension all tasks together asked for.
func asked(m *api.AllocationMetric, dimension string) string {
	var cpu, cores, memory, disk int
	var devices []string
	for _, task := range slices.Sorted(maps.Keys(m.ResourcesExhausted)) {
		r := m.ResourcesExhausted[task]
		if r == nil {
			continue
		}
		cpu += value(r.CPU)
		cores += value(r.Cores)
		memory += value(r.MemoryMB)
		disk += value(r.DiskMB)
		for _, device := range r.Devices {
			devices = append(devices, counted(device))
		}
	}
	switch resource := resourceOf(dimension); {
	case resource == "memory" && memory > 0:
		return scheduler.Megabytes(int64(memory)) + " of memory"
	case dimension == "cpu" && cpu > 0:
		return fmt.Sprintf("%d MHz of processor", cpu)
	case resource == "cpu" && cores > 0:
		return plural(cores, "whole processor core")
	case resource == "cpu" && dimension != "cpu":
		return "whole processor cores"
	case resource == "disk" && disk > 0:
		return scheduler.Megabytes(int64(disk)) + " of disk"
	case resource == "cpu":
		return "processor"
	case resource == "port":
		return port(dimension)
	case resource == "device" && len(devices) > 0:
		return strings.Join(devices, ", ")
	case resource == "device":
		return "a device"
	}
	return dimension
}

var collision = regexp.MustCompile(`reserved port collision .*=(\d+)`)

func port(dimension string) string {
	if parts := collision.FindStringSubmatch(dimension); parts != nil {
		return "port " + parts[1]
	}
	return "a free port"
}

func counted(device *api.RequestedDevice) string {
	count := uint64(1)
	if device.Count != nil {
		count = *device.Count
	}
	return fmt.Sprintf("%d %s", count, device.Name)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// The words with which Nomad's scheduler says why a machine is out of the question.
const (
	filterClass   = "computed class ineligible" // another machine of the same class was looked at
	filterDrivers = "missing drivers"
	filterDevices = "missing devices"
	filterVolumes = "missing compatible host volumes"
	filterNetwork = "missing network"
)

// filtered says which condition no machine meets.
func filtered(m *api.AllocationMetric) obstacle {
	conditions := slices.DeleteFunc(slices.Sorted(maps.Keys(m.ConstraintFiltered)), func(c string) bool { return c == filterClass })
	none := func(does, doesNot string) string { return noneOf(m.NodesEvaluated, does, doesNot) + inPool(m.NodePool) }
	found := obstacle{filtered: true}
	if len(conditions) != 1 {
		found.why = why{none("fulfils the job's condition", "does not fulfil the job's condition") + conditionList(conditions), scheduler.CauseConstraint}
		return found
	}
	switch condition := conditions[0]; {
	case condition == filterDrivers:
		found.why = why{none("has the driver that runs it", "does not have the driver that runs it") + ". An operator must install it, or choose another one.", scheduler.CauseDriver}
	case condition == filterDevices:
		found.resource = "device"
		found.why = why{none("has the device that it asks for", "does not have the device that it asks for") + ".", scheduler.CauseConstraint}
	case condition == filterVolumes:
		found.resource = "volume"
		found.why = why{none("has its volume, or it is in use", "does not have its volume, or it is in use") + ". Tell the administrator if it stays so.", scheduler.CauseVolume}
	case strings.HasPrefix(condition, "CSI ") || strings.HasPrefix(condition, "missing CSI") || strings.Contains(condition, "topology"):
		found.resource = "volume"
		found.filtered = !strings.Contains(condition, "exhausted its available")
		found.why = why{"its volume cannot be used on " + map[bool]string{true: "the only node", false: "any node"}[m.NodesEvaluated == 1] + ". " + nomadSays(condition), scheduler.CauseVolume}
	case condition == filterNetwork || strings.HasPrefix(condition, "missing host network"):
		found.why = why{none("has the network that it asks for", "does not have the network that it asks for") + ".", scheduler.CauseConstraint}
	default:
		found.why = why{none("fulfils the job's condition", "does not fulfil the job's condition") + conditionList(conditions), scheduler.CauseConstraint}
	}
	return found
}

func conditionList(conditions []string) string {
	if len(conditions) == 0 {
		return "."
	}
	plainly := make([]string, 0, len(conditions))
	for _, c := range conditions {
		plainly = append(plainly, strings.TrimSpace(strings.NewReplacer("${", "", "}", "").Replace(c)))
	}
	return ": " + strings.Join(plainly, ", ") + "."
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// noneOf says that no machine does something, in the words for many and for one.
func noneOf(nodes int, does, doesNot string) string {
	if nodes == 1 {
		return "the only node " + doesNot
	}
	return fmt.Sprintf("none of %d nodes %s", nodes, does)
}
