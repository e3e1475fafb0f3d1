package nomad

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"
)

// network sets how the server is on the network. The network is the template's that has the server's port.
func (o overlay) network() error {
	n := o.spec.Workload.Network
	net, port := serverPort(o.group)
	if n.Mode != "" {
		if err := o.setMode(net, n.Mode); err != nil {
			return err
		}
	}
	if n.Port != 0 {
		port.To = n.Port
	}
	if n.HostNetwork != "" {
		port.HostNetwork = n.HostNetwork
	}
	for _, label := range slices.Sorted(maps.Keys(n.Ports)) {
		if hasPort(o.group, label) {
			return refuse("The jobspec has a port %q already; the profile must name its own differently.", label)
		}
		net.DynamicPorts = append(net.DynamicPorts, api.Port{Label: label, To: n.Ports[label], HostNetwork: n.HostNetwork})
	}
	if n.DNS != nil {
		if o.task.Driver == driverRawExec {
			return refuse("The driver raw_exec uses the machine's own DNS servers, and no others.")
		}
		net.DNS = &api.DNSConfig{Servers: slices.Clone(n.DNS)}
	}
	if reflect.ValueOf(n).IsZero() && o.spec.Workload.Driver == "" {
		return nil // the template stays as it stands
	}
	o.publish(net)
	if (n.Port != 0 || len(n.Ports) > 0) && !o.isolated(net) && slices.ContainsFunc(slices.Concat(net.DynamicPorts, net.ReservedPorts), func(p api.Port) bool { return p.To > 0 }) {
		return refuse("A server on its machine's own network listens at the port that it was given: a port inside is for bridge networks and containers.")
	}
	return nil
}

// serverPort finds the port that the server listens at, which notebookTask made sure of.
func serverPort(group *api.TaskGroup) (*api.NetworkResource, *api.Port) {
	for _, network := range group.Networks {
		for _, ports := range [][]api.Port{network.DynamicPorts, network.ReservedPorts} {
			for i := range ports {
				if ports[i].Label == portLabel {
					return network, &ports[i]
				}
			}
		}
	}
	return &api.NetworkResource{}, &api.Port{}
}

// setMode chooses between Nomad's networks, which all tasks of the server share, and those that a container engine has.
func (o overlay) setMode(net *api.NetworkResource, mode string) error {
	container := isContainer(o.task)
	switch {
	case mode == "bridge" || strings.HasPrefix(mode, "cni/"):
		net.Mode = mode
		delete(o.task.Config, "network_mode")
	case mode == "host" && container:
		net.Mode = "host"
		o.task.Config["network_mode"] = "host"
	case mode == "host":
		net.Mode = "host"
	case container:
		net.Mode = "host" // of Nomad: it gives ports of the machine, which the engine leads into its own network
		o.task.Config["network_mode"] = mode
	default:
		return refuse("The network %q is one of a container engine, and the driver %q runs no containers.", mode, o.task.Driver)
	}
	return nil
}

// publish has a container engine lead the ports into the container, where Nomad does not.
func (o overlay) publish(net *api.NetworkResource) {
	if !isContainer(o.task) || sharedNetwork(net) {
		return
	}
	if o.task.Config["network_mode"] == "host" {
		delete(o.task.Config, "ports")
		return
	}
	ports, _ := o.task.Config["ports"].([]any)
	ports = slices.Clone(ports)
	for _, port := range slices.Concat(net.DynamicPorts, net.ReservedPorts) {
		if !slices.Contains(ports, any(port.Label)) {
			ports = append(ports, port.Label)
		}
	}
	o.task.Config["ports"] = ports
}

// sharedNetwork reports whether Nomad makes a network for the server's tasks together.
func sharedNetwork(net *api.NetworkResource) bool {
	return net.Mode == "bridge" || strings.HasPrefix(net.Mode, "cni/")
}

// isolated reports whether the server has a network in which its ports can have other numbers than outside.
func (o overlay) isolated(net *api.NetworkResource) bool {
	return sharedNetwork(net) || isContainer(o.task) && o.task.Config["network_mode"] != "host"
}
