package nomad

import (
	"bytes"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
)

// takeAllocField sets what this package reads of an allocation, whether it comes in an event or in a list.
func takeAllocField(c *cursor, name string, a *api.Allocation) error {
	if c.Null() {
		return nil
	}
	switch name {
	case "NodeID":
		return c.word(&a.NodeID)
	case "NodeName":
		return c.word(&a.NodeName)
	case "CreateIndex":
		return c.Uint64(&a.CreateIndex)
	case "ModifyIndex":
		return c.Uint64(&a.ModifyIndex)
	case "ModifyTime":
		return c.Int64(&a.ModifyTime)
	case "ClientStatus":
		return c.word(&a.ClientStatus)
	case "ClientDescription":
		return c.word(&a.ClientDescription)
	case "DesiredStatus":
		return c.word(&a.DesiredStatus)
	case "DesiredDescription":
		return c.word(&a.DesiredDescription)
	case "PreemptedByAllocation":
		return c.Text(&a.PreemptedByAllocation)
	case "NextAllocation":
		return c.Text(&a.NextAllocation)
	case "DesiredTransition":
		text, err := c.Value()
		if err != nil || !bytes.Contains(text, []byte("true")) { // most often all of it is null
			return err
		}
		return pull.Decode(text, &a.DesiredTransition)
	case "AllocatedResources":
		return takeResources(c, &a.AllocatedResources)
	case "TaskStates":
		return takeTaskStates(c, &a.TaskStates)
	}
	return nil
}

// takeResources sets ports and memory.
func takeResources(c *cursor, into **api.AllocatedResources) error {
	r := &api.AllocatedResources{}
	*into = r
	return c.Fields(func(name []byte) error {
		switch string(name) {
		case "Tasks":
			return c.Entries(func(task string) error {
				taken := &api.AllocatedTaskResources{}
				if r.Tasks == nil {
					r.Tasks = make(map[string]*api.AllocatedTaskResources, 1)
				}
				r.Tasks[task] = taken
				return takeMemory(c, &taken.Memory)
			})
		case "Shared":
			return takePorts(c, &r.Shared.Ports)
		}
		return nil
	})
}

func takeMemory(c *cursor, into *api.AllocatedMemoryResources) error {
	return c.Fields(func(name []byte) error {
		if string(name) != "Memory" || c.Null() {
			return nil
		}
		return c.Fields(func(name []byte) error {
			switch string(name) {
			case "MemoryMB":
				return c.Int64(&into.MemoryMB)
			case "MemoryMaxMB":
				return c.Int64(&into.MemoryMaxMB)
			}
			return nil
		})
	})
}

func takePorts(c *cursor, into *[]api.PortMapping) error {
	if c.Null() {
		return nil
	}
	return c.Fields(func(name []byte) error {
		if string(name) != "Ports" {
			return nil
		}
		return c.Elements(func() error {
			var port api.PortMapping
			err := c.Fields(func(name []byte) error {
				switch string(name) {
				case "Label":
					return c.word(&port.Label)
				case "Value":
					return c.Int(&port.Value)
				case "HostIP":
					return c.Text(&port.HostIP)
				}
				return nil
			})
			*into = append(*into, port)
			return err
		})
	})
}

func takeTaskStates(c *cursor, into *map[string]*api.TaskState) error {
	*into = make(map[string]*api.TaskState, 1)
	return c.Entries(func(task string) error {
		state := &api.TaskState{}
		(*into)[task] = state
		return c.Fields(func(name []byte) error {
			if c.Null() {
				return nil
			}
			switch string(name) {
			case "State":
				return c.word(&state.State)
			case "Failed":
				return c.Bool(&state.Failed)
			case "StartedAt":
				return c.Time(&state.StartedAt)
			case "FinishedAt":
				return c.Time(&state.FinishedAt)
			case "Events":
				return c.Elements(func() error {
					if c.Null() {
						state.Events = append(state.Events, nil)
						return nil
					}
					event := &api.TaskEvent{}
					state.Events = append(state.Events, event)
					return takeTaskEvent(c, event)
				})
			}
			return nil
		})
	})
}

// takeTaskEvent sets what reason.go reads. Nomad writes all fields, most of them empty.
func takeTaskEvent(c *cursor, e *api.TaskEvent) error {
	return c.Fields(func(name []byte) error {
		if c.Null() {
			return nil
		}
		switch string(name) {
		case "Type":
			return c.word(&e.Type)
		case "Time":
			return c.Int64(&e.Time)
		case "DisplayMessage":
			return c.Text(&e.DisplayMessage)
		case "Message":
			return c.Text(&e.Message)
		case "Details":
			return c.Texts(&e.Details)
		case "FailsTask":
			return c.Bool(&e.FailsTask)
		case "ExitCode":
			return c.Int(&e.ExitCode)
		case "Signal":
			return c.Int(&e.Signal)
		case "DriverError":
			return c.Text(&e.DriverError)
		case "SetupError":
			return c.Text(&e.SetupError)
		case "ValidationError":
			return c.Text(&e.ValidationError)
		case "DownloadError":
			return c.Text(&e.DownloadError)
		case "KillReason":
			return c.Text(&e.KillReason)
		}
		return nil
	})
}
