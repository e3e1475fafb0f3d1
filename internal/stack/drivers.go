package stack

// Drivers say what the Nomad client can run tasks with, beside raw_exec. The exec driver is always on where the client is root.
type Drivers struct {
	// Docker is the path of the socket of a Docker engine; see package dockerd. "" leaves the driver alone, which then looks for the machine's own.
	Docker string
	// Podman is the path of the socket of Podman's service, and PluginDir the folder with Nomad's driver plugin for it, which Nomad does not bring.
	Podman, PluginDir string
	// Chroot is what the exec driver puts into the root of its tasks, path here to path there. Nil is Nomad's own choice, which is most of the machine
	// and takes some twenty seconds for a task.
	Chroot map[string]string
	// HostVolumes are folders of this machine that jobs may mount, by the name of the volume.
	HostVolumes map[string]string
}

// names are the drivers that must be healthy before the client counts as ready.
func (d Drivers) names() []string {
	names := []string{"raw_exec"}
	if d.Docker != "" {
		names = append(names, "docker")
	}
	if d.Podman != "" {
		names = append(names, "podman")
	}
	if d.Chroot != nil {
		names = append(names, "exec")
	}
	return names
}

// client is their part of the configuration's client block.
func (d Drivers) client() map[string]any {
	client := map[string]any{}
	if d.Chroot != nil {
		client["chroot_env"] = d.Chroot
	}
	var volumes []any
	for name, path := range d.HostVolumes {
		volumes = append(volumes, map[string]any{name: map[string]any{"path": path}})
	}
	if len(volumes) > 0 {
		client["host_volume"] = volumes
	}
	return client
}

// plugins are the configuration's plugin blocks.
func (d Drivers) plugins() []any {
	plugin := func(name string, config map[string]any) any {
		return map[string]any{name: map[string]any{"config": config}}
	}
	all := []any{plugin("raw_exec", map[string]any{"enabled": true})}
	if d.Docker != "" {
		all = append(all, plugin("docker", map[string]any{
			"endpoint": "unix://" + d.Docker,
			"volumes":  map[string]any{"enabled": true},
			// Whoever made the engine puts images into it, and they shall stay.
			"gc": map[string]any{"image": false},
		}))
	}
	if d.Podman != "" {
		all = append(all, plugin("nomad-driver-podman", map[string]any{"socket_path": "unix://" + d.Podman}))
	}
	return all
}
