package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// maxDeviceValues bounds what is shown of one device.
const maxDeviceValues = 32

// Usage implements [scheduler.Meter] with what the server's machine measured last, about once a second. A server that does not run has
// no usage, which is ErrNotFound.
func (s *Scheduler) Usage(ctx context.Context, id string) (scheduler.Usage, error) {
	alloc, err := s.newestAlloc(ctx, id, false)
	if err != nil {
		return scheduler.Usage{}, err
	}
	if alloc == nil || alloc.clientStatus != api.AllocClientStatusRunning {
		return scheduler.Usage{}, fmt.Errorf("nomad: reading the usage: the server does not run: %w", scheduler.ErrNotFound)
	}
	stats, err := s.client.Allocations().Stats(&api.Allocation{ID: alloc.id}, s.query(ctx))
	if statusCode(err) == http.StatusNotFound { // the allocation is there, so it is its machine that does not answer
		return scheduler.Usage{}, fmt.Errorf("nomad: reading the usage: %w: %w", scheduler.ErrUnavailable, err)
	}
	if err = translate(ctx, "reading the usage", err); err != nil {
		return scheduler.Usage{}, err
	}
	return usageOf(alloc, stats)
}

// PeakMemory implements [scheduler.PeakMeter]. A Nomad client keeps the last measurement of a task that has ended until it removes the allocation, but for those
// of Docker, whose last word is that nothing is used any more.
func (s *Scheduler) PeakMemory(ctx context.Context, id string) (int64, error) {
	alloc, err := s.newestAlloc(ctx, id, false)
	if err != nil {
		return 0, err
	}
	if alloc == nil {
		return 0, fmt.Errorf("nomad: reading the peak: there is no run: %w", scheduler.ErrNotFound)
	}
	stats, err := s.client.Allocations().Stats(&api.Allocation{ID: alloc.id}, s.query(ctx))
	if err = translate(ctx, "reading the peak", err); err != nil {
		return 0, err
	}
	task := stats.Tasks[mainTask(alloc)]
	if task == nil || task.ResourceUsage == nil || task.ResourceUsage.MemoryStats == nil {
		return 0, nil
	}
	memory := task.ResourceUsage.MemoryStats
	return max(memoryOf(memory), int64(min(memory.MaxUsage, 1<<62))), nil //nolint:gosec // G115: bounded
}

// errNotMeasured is ErrUnavailable with a sentence: a Nomad client measures nothing unless its configuration says so, and what it would publish with it
// goes nowhere unless a collector is named there, too.
var errNotMeasured = fmt.Errorf("nomad: reading the usage: %w: %w", scheduler.ErrUnavailable, &scheduler.RejectedError{
	Reason: "The server's machine has not measured what the server uses. If it stays so, an operator must set publish_allocation_metrics in the telemetry block of its Nomad client.",
	Err:    errors.New("the client has no statistics of the task"),
})

func usageOf(alloc *allocView, stats *api.AllocResourceUsage) (scheduler.Usage, error) {
	// The server's own task: what runs beside it has limits of its own.
	task := stats.Tasks[mainTask(alloc)]
	if task == nil || task.ResourceUsage == nil {
		return scheduler.Usage{}, errNotMeasured
	}
	used := task.ResourceUsage
	usage := scheduler.Usage{Time: time.Unix(0, task.Timestamp).UTC(), MemoryLimit: alloc.memoryLimits[mainTask(alloc)] << 20}
	if cpu := used.CpuStats; cpu != nil {
		usage.CPU = cpu.Percent / 100 // Nomad's percent are of one core
	}
	if memory := used.MemoryStats; memory != nil {
		usage.MemoryBytes = memoryOf(memory)
	}
	for _, group := range used.DeviceStats {
		usage.Devices = append(usage.Devices, devicesOf(group)...)
	}
	return usage, nil
}

// memoryOf is what is resident, where the driver measures that, and else what the kernel holds against the limit without the files
// that it would drop first.
func memoryOf(m *api.MemoryStats) int64 {
	used := m.RSS
	if used == 0 {
		used = m.Usage
		if m.Cache < used {
			used -= m.Cache
		}
	}
	return int64(min(used, 1<<62)) //nolint:gosec // G115: bounded
}

func devicesOf(group *api.DeviceGroupStats) []scheduler.DeviceUsage {
	if group == nil {
		return nil
	}
	var all []scheduler.DeviceUsage
	for _, id := range slices.Sorted(maps.Keys(group.InstanceStats)) {
		device := scheduler.DeviceUsage{Name: group.Vendor + "/" + group.Type + "/" + group.Name, ID: id, Values: map[string]string{}}
		if stats := group.InstanceStats[id]; stats != nil {
			if stats.Summary != nil {
				device.Values[cmp.Or(stats.Summary.Desc, "summary")] = stats.Summary.String()
			}
			if stats.Stats != nil {
				for _, name := range slices.Sorted(maps.Keys(stats.Stats.Attributes)) {
					if len(device.Values) < maxDeviceValues {
						device.Values[name] = stats.Stats.Attributes[name].String()
					}
				}
			}
		}
		all = append(all, device)
	}
	return all
}
