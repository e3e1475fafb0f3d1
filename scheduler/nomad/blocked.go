package nomad

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

const waiting = "Waiting for a machine: "

// blockedReason says, from what Nomad's scheduler measured, why it finds no place. It returns "" if it found one.
func blockedReason(failed map[string]*api.AllocationMetric) string {
	for _, group := range slices.Sorted(maps.Keys(failed)) {
		metric := failed[group]
		if metric == nil {
			continue
		}
		return waiting + whyNoPlace(metric)
	}
	return ""
}

func whyNoPlace(m *api.AllocationMetric) string {
	switch {
	case len(m.QuotaExhausted) > 0:
		return "the quota is used up (" + strings.Join(m.QuotaExhausted, ", ") + ")."
	case m.NodesEvaluated == 0:
		return "none is ready that may run notebooks."
	case m.NodesExhausted > 0:
		return exhausted(m)
	case len(m.ConstraintFiltered) > 0:
		return noneOf(m.NodesEvaluated, "fulfils the job's condition", "does not fulfil the job's condition") + ": " + strings.Join(slices.Sorted(maps.Keys(m.ConstraintFiltered)), ", ") + "."
	}
	return noneOf(m.NodesEvaluated, "may run it", "may not run it") + "."
}

// exhausted names what was asked for and what is missing, such as "4 GB of memory asked, none of 3 nodes has it free."
func exhausted(m *api.AllocationMetric) string {
	nodes := m.NodesEvaluated - m.NodesFiltered
	missing := make([]string, 0, len(m.DimensionExhausted))
	for _, dimension := range slices.Sorted(maps.Keys(m.DimensionExhausted)) {
		missing = append(missing, asked(m, dimension))
	}
	if len(missing) == 0 {
		return noneOf(nodes, "has room", "has no room") + "."
	}
	return strings.Join(missing, ", ") + " asked, " + noneOf(nodes, "has it free", "does not have it free") + "."
}

// asked says how much of a dimension all tasks together asked for.
func asked(m *api.AllocationMetric, dimension string) string {
	var cpu, memory, disk int
	for _, r := range m.ResourcesExhausted {
		if r == nil {
			continue
		}
		cpu += value(r.CPU)
		memory += value(r.MemoryMB)
		disk += value(r.DiskMB)
	}
	switch {
	case dimension == "memory" && memory > 0:
		return megabytes(int64(memory)) + " of memory"
	case dimension == "cpu" && cpu > 0:
		return fmt.Sprintf("%d MHz of processor", cpu)
	case dimension == "disk" && disk > 0:
		return megabytes(int64(disk)) + " of disk"
	case dimension == "cpu":
		return "processor"
	case strings.HasPrefix(dimension, "network: reserved port collision"), strings.HasPrefix(dimension, "network: dynamic port"):
		return "a free port"
	}
	return dimension
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
