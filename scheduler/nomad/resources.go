package nomad

import (
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// setResources overrides the operator's defaults with what was asked, where something was. What is asked for in cores has
// become MHz before; see inMHz.
func setResources(task *api.Task, ask scheduler.Resources) {
	if task.Resources == nil {
		task.Resources = &api.Resources{}
	}
	r := task.Resources
	if ask.CPU > 0 {
		r.CPU, r.Cores = new(ask.CPU), nil // Nomad takes one of the two
	}
	if ask.Cores > 0 {
		r.Cores, r.CPU = new(ask.Cores), nil
	}
	setMemory(r, ask)
	if ask.Devices != nil {
		r.Devices = devices(ask.Devices)
	}
}

// setMemory keeps what is reserved at most as high as the limit: of the two, the one that was asked for holds.
func setMemory(r *api.Resources, ask scheduler.Resources) {
	if ask.MemoryMB > 0 {
		r.MemoryMB = new(int(ask.MemoryMB))
	}
	if ask.MemoryMaxMB > 0 {
		r.MemoryMaxMB = new(int(ask.MemoryMaxMB))
	}
	if r.MemoryMB == nil || r.MemoryMaxMB == nil || *r.MemoryMaxMB <= 0 || *r.MemoryMaxMB >= *r.MemoryMB {
		return
	}
	if ask.MemoryMaxMB > 0 {
		r.MemoryMB = new(*r.MemoryMaxMB)
	} else {
		r.MemoryMaxMB = new(*r.MemoryMB)
	}
}

func devices(ask []scheduler.Device) []*api.RequestedDevice {
	made := make([]*api.RequestedDevice, 0, len(ask))
	for _, d := range ask {
		made = append(made, &api.RequestedDevice{
			Name: d.Name, Count: new(uint64(d.Count)), //nolint:gosec // G115: validated, at least 1
			Constraints: constraints(d.Constraints), Affinities: affinities(d.Affinities),
		})
	}
	return made
}
