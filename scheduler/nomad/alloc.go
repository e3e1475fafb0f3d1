package nomad

import (
	"bytes"

	"github.com/hashicorp/nomad/api"
)

// takeAllocField sets what this package reads of an allocation, whether it comes in an event or in a list.
func takeAllocField(c *cursor, name string, a *api.Allocation) error {
	if c.null() {
		return nil
	}
	switch name {
	case "NodeID":
		return c.word(&a.NodeID)
	case "NodeName":
		return c.word(&a.NodeName)
	case "CreateIndex":
		return c.index(&a.CreateIndex)
	case "ModifyIndex":
		return c.index(&a.ModifyIndex)
	case "ModifyTime":
		return c.number(&a.ModifyTime)
	case "ClientStatus":
		return c.word(&a.ClientStatus)
	case "ClientDescription":
		return c.word(&a.ClientDescription)
	case "DesiredStatus":
		return c.word(&a.DesiredStatus)
	case "DesiredDescription":
		return c.word(&a.DesiredDescription)
	case "PreemptedByAllocation":
		return c.string(&a.PreemptedByAllocation)
	case "NextAllocation":
		return c.string(&a.NextAllocation)
	case "DesiredTransition":
		text, err := c.value()
		if err != nil || !bytes.Contains(text, []byte("true")) { // most often all of it is null
			return err
		}
		return decode(text, &a.DesiredTransition)
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
	return c.fields(func(name []byte) error {
		switch string(name) {
		case "Tasks":
			return c.entries(func(task string) error {
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
	return c.fields(func(name []byte) error {
		if string(name) != "Memory" || c.null() {
			return nil
		}
		return c.fields(func(name []byte) error {
			switch string(name) {
			case "MemoryMB":
				return c.number(&into.MemoryMB)
			case "MemoryMaxMB":
				return c.number(&into.MemoryMaxMB)
			}
			return nil
		})
	})
}

func takePorts(c *cursor, into *[]api.PortMapping) error {
	if c.null() {
		return nil
	}
	return c.fields(func(name []byte) error {
		if string(name) != "Ports" {
			return nil
		}
		return c.elements(func() error {
			var port api.PortMapping
			err := c.fields(func(name []byte) error {
				switch string(name) {
				case "Label":
					return c.word(&port.Label)
				case "Value":
					return c.int(&port.Value)
				case "HostIP":
					return c.string(&port.HostIP)
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
	return c.entries(func(task string) error {
		state := &api.TaskState{}
		(*into)[task] = state
		return c.fields(func(name []byte) error {
			if c.null() {
				return nil
			}
			switch string(name) {
			case "State":
				return c.word(&state.State)
			case "Failed":
				return c.flag(&state.Failed)
			case "StartedAt":
				return c.moment(&state.StartedAt)
			case "FinishedAt":
				return c.moment(&state.FinishedAt)
			case "Events":
				return c.elements(func() error {
					if c.null() {
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
	return c.fields(func(name []byte) error {
		if c.null() {
			return nil
		}
		switch string(name) {
		case "Type":
			return c.word(&e.Type)
		case "Time":
			return c.number(&e.Time)
		case "DisplayMessage":
			return c.string(&e.DisplayMessage)
		case "Message":
			return c.string(&e.Message)
		case "Details":
			return c.texts(&e.Details)
		case "FailsTask":
			return c.flag(&e.FailsTask)
		case "ExitCode":
			return c.int(&e.ExitCode)
		case "Signal":
			return c.int(&e.Signal)
		case "DriverError":
			return c.string(&e.DriverError)
		case "SetupError":
			return c.string(&e.SetupError)
		case "ValidationError":
			return c.string(&e.ValidationError)
		case "DownloadError":
			return c.string(&e.DownloadError)
		case "KillReason":
			return c.string(&e.KillReason)
		}
		return nil
	})
}
