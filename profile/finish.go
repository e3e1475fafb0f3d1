package profile

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

// finish makes the result of settings that are complete, and checks what can only be seen of all of them.
func (e *evaluator) finish(s settings, p *profile, w someone) Resolved {
	r := Resolved{
		Profile: p.name, DefaultURL: s.DefaultURL, NotebookDir: s.NotebookDir, Resources: e.resources(s, p), Env: limits(s),
		StartTimeout: time.Duration(s.StartTimeout), AnswerTimeout: time.Duration(s.AnswerTimeout), QueueTimeout: time.Duration(s.QueueTimeout),
		IdleAfter: time.Duration(s.IdleAfter), MaxAge: time.Duration(s.MaxAge),
	}
	maps.Copy(r.Env, s.Environment)
	r.Workload = scheduler.Workload{
		Template: p.files.name(s.Jobspec), Driver: s.Driver, Image: s.Image.name, Command: s.Command, Args: s.Args, User: s.User, WorkDir: s.WorkDir, Config: s.Config,
		Placement: placement(s),
		Network: scheduler.Network{
			Mode: s.Network.Mode, Port: s.Network.Port, HostNetwork: s.Network.HostNetwork, DNS: s.Network.DNS, Ports: s.Network.Ports,
		},
		StopSignal: s.StopSignal, StopTimeout: time.Duration(s.StopTimeout), PullTimeout: time.Duration(s.PullTimeout),
	}
	if x := s.Restart; x != nil {
		r.Workload.Restart = &scheduler.Restart{Attempts: x.Attempts, Interval: time.Duration(x.Interval), Delay: time.Duration(x.Delay)}
	}
	if x := s.Reschedule; x != nil {
		r.Workload.Reschedule = &scheduler.Reschedule{Attempts: x.Attempts, Interval: time.Duration(x.Interval), Unlimited: x.Unlimited}
	}
	if x := s.Disconnect; x != nil {
		r.Workload.Disconnect = &scheduler.Disconnect{LostAfter: time.Duration(x.LostAfter), Replace: x.Replace, StopAfter: time.Duration(x.StopAfter)}
	}
	e.volumes(s, p, w, &r)
	e.tasks(s, p, &r)
	e.checkPlacement(s, p)
	if err := runnable(r); err != nil && len(e.problems) == 0 && e.invalid == nil {
		e.add(p.where, "The profile %q cannot run. %v", p.name, err)
	}
	return r
}

// runnable says why no scheduler would run this, or nil.
func runnable(r Resolved) error {
	spec := scheduler.Spec{ID: "check", Generation: 1, Env: r.Env, Resources: r.Resources, Workload: r.Workload}
	for _, c := range r.Volumes {
		c.Mount.Source = cmp.Or(c.Mount.Source, "check")
		if c.Mount.Kind == scheduler.MountSticky {
			c.Mount.Source = ""
		}
		spec.Workload.Mounts = append(slices.Clip(spec.Workload.Mounts), c.Mount)
	}
	return spec.Validate()
}

// limits are what JupyterHub tells a server about what it may use.
func limits(s settings) map[string]string {
	env := map[string]string{}
	bytes := func(name string, b byteSize) {
		if b > 0 {
			env[name] = strconv.FormatInt(int64(b), 10)
		}
	}
	cores := func(name string, n float64) {
		if n <= 0 {
			return
		}
		env[name] = strconv.FormatFloat(n, 'f', -1, 64)
		if !strings.Contains(env[name], ".") {
			env[name] += ".0" // as Python writes it
		}
	}
	bytes("MEM_LIMIT", s.MemLimit)
	bytes("MEM_GUARANTEE", s.MemGuarantee)
	cores("CPU_LIMIT", cmp.Or(s.CPULimit, float64(s.Cores)))
	cores("CPU_GUARANTEE", cmp.Or(s.CPUGuarantee, float64(s.Cores)))
	return env
}

// resources maps JupyterHub's terms to the scheduler's. A limit of memory without a guarantee is guaranteed: a server that was shown 2 GB has them, on
// every cluster.
func (e *evaluator) resources(s settings, p *profile) scheduler.Resources {
	said := 0
	for _, is := range []bool{s.CPU > 0, s.Cores > 0, s.CPUGuarantee > 0} {
		if is {
			said++
		}
	}
	switch {
	case said > 1:
		e.add(p.where, "The profile %q asks for processor in more than one way. Say one of cpu (MHz), cores and cpu_guarantee.", p.name)
	case s.CPULimit > 0 && s.CPULimit < max(s.CPUGuarantee, float64(s.Cores)):
		e.add(p.where, "The profile %q has a cpu_limit of %v below what it guarantees.", p.name, s.CPULimit)
	case s.MemLimit > 0 && s.MemLimit < s.MemGuarantee:
		e.add(p.where, "The profile %q has a mem_limit of %d MB below its mem_guarantee of %d MB.", p.name, s.MemLimit.mib(), s.MemGuarantee.mib())
	}
	r := scheduler.Resources{
		CPU: s.CPU, Cores: s.Cores, CPUGuarantee: s.CPUGuarantee, CPULimit: s.CPULimit,
		MemoryMB: cmp.Or(s.MemGuarantee, s.MemLimit).mib(), MemoryMaxMB: s.MemLimit.mib(), DiskMB: s.Disk.mib(),
	}
	for _, d := range s.Devices {
		count := 1
		if d.Count != nil {
			count = *d.Count
		}
		if count > 0 && wanted(d.When) {
			r.Devices = append(r.Devices, scheduler.Device{
				Name: d.Label, Count: count, Constraints: constraints(d.Constraints), Affinities: affinities(d.Affinities),
			})
		}
	}
	return r
}

func wanted(when *bool) bool { return when == nil || *when }

func placement(s settings) scheduler.Placement {
	p := scheduler.Placement{
		Region: s.Region, Namespace: s.Namespace, NodePool: s.NodePool, Datacenters: s.Datacenters, Priority: s.Priority,
		Constraints: constraints(s.Constraints), Affinities: affinities(s.Affinities),
	}
	for _, x := range s.Spreads {
		p.Spreads = append(p.Spreads, scheduler.Spread{Attribute: interpolated(x.Attribute), Weight: cmp.Or(x.Weight, 50), Targets: x.Targets})
	}
	return p
}

func constraints(list []*constraint) []scheduler.Constraint {
	var all []scheduler.Constraint
	for _, c := range list {
		all = append(all, scheduler.Constraint{Attribute: interpolated(c.Attribute), Operator: cmp.Or(c.Operator, "="), Value: c.Value})
	}
	return all
}

func affinities(list []*affinity) []scheduler.Affinity {
	var all []scheduler.Affinity
	for _, a := range list {
		all = append(all, scheduler.Affinity{
			Constraint: scheduler.Constraint{Attribute: interpolated(a.Attribute), Operator: cmp.Or(a.Operator, "="), Value: a.Value},
			Weight:     cmp.Or(a.Weight, 50),
		})
	}
	return all
}

var nodeAttribute = regexp.MustCompile(`^(attr|meta|node|device)\.[A-Za-z0-9._-]+$`)

// interpolated writes attr.cpu.arch as Nomad wants it. In HCL it would otherwise take two dollar signs, which everybody forgets.
func interpolated(attribute string) string {
	if nodeAttribute.MatchString(attribute) {
		return "${" + attribute + "}"
	}
	return attribute
}

// checkPlacement finds what cannot work on any cluster.
func (e *evaluator) checkPlacement(s settings, p *profile) {
	for _, c := range s.Constraints {
		if c.Attribute == "" && c.Operator != "distinct_hosts" {
			e.add(p.where, "A constraint of the profile %q has no attribute, such as attr.cpu.arch.", p.name)
		}
	}
	for _, a := range s.Affinities {
		if a.Attribute == "" {
			e.add(p.where, "An affinity of the profile %q has no attribute, such as node.class.", p.name)
		}
	}
	for _, x := range s.Spreads {
		if x.Attribute == "" {
			e.add(p.where, "A spread of the profile %q has no attribute, such as node.datacenter.", p.name)
		}
	}
	if d := s.Disconnect; d != nil && d.LostAfter == 0 && d.StopAfter == 0 {
		e.add(p.where, "The block disconnect of the profile %q needs lost_after: how long a server counts as perhaps running.", p.name)
	}
	if d := s.Disconnect; d != nil && d.StopAfter > 0 && d.LostAfter > 0 {
		e.add(p.where, "The block disconnect of the profile %q has lost_after and stop_after; Nomad takes one of the two.", p.name)
	}
}

// volumes says which files the server sees. A volume of a group is for its members only.
func (e *evaluator) volumes(s settings, p *profile, w someone, r *Resolved) {
	paths := map[string]string{}
	for _, v := range s.Volumes {
		if !wanted(v.When) {
			continue
		}
		if reason := v.wrong(); reason != "" {
			e.add(p.where, "The volume %q of the profile %q %s.", v.Label, p.name, reason)
			continue
		}
		if !w.nobody && v.Share == string(ShareGroup) && !slices.Contains(w.user.Groups, v.Group) {
			continue
		}
		if other, twice := paths[v.Path]; twice {
			e.add(p.where, "The volumes %q and %q of the profile %q are both mounted at %s.", other, v.Label, p.name, v.Path)
		}
		paths[v.Path] = v.Label
		r.Volumes = append(r.Volumes, v.claim(r.Workload.Placement))
	}
}

// wrong says why a volume cannot be, or "".
func (v *volume) wrong() string {
	made := v.Kind == string(scheduler.MountDynamic) || v.Kind == string(scheduler.MountCSI)
	switch {
	case v.Kind == "":
		return "needs a kind: dynamic, csi, host, sticky or docker"
	case v.Path == "":
		return "needs a path: where the server sees it"
	case v.Kind == string(scheduler.MountHost) && v.Source == "":
		return "needs a source: the name of the host volume that the machines have"
	case v.Kind == string(scheduler.MountSticky) && v.Source != "":
		return "is the server's own disk and has no source"
	case v.Kind == string(scheduler.MountSticky) && v.Share != "" && v.Share != string(ShareServer):
		return "is the server's own disk and cannot be shared"
	case v.Share == string(ShareGroup) && v.Group == "":
		return "is shared in a group and needs group = …"
	case v.Share != string(ShareGroup) && v.Group != "":
		return "names a group, and needs share = \"group\" for that"
	case !made && (v.Plugin != "" || v.Size > 0 || v.SizeMax > 0):
		return "has a plugin or size, which only the kinds dynamic and csi have"
	case v.Kind == string(scheduler.MountCSI) && v.Plugin == "" && v.Source == "":
		return "needs a plugin: the CSI plugin that makes it"
	case v.SizeMax > 0 && v.SizeMax < v.Size:
		return "has a size_max below its size"
	case v.Source != "" && (v.Retain != "" && v.Retain != string(RetainKeep) || v.Grace > 0):
		return "has a source, which the hub did not make and therefore never deletes; take retain and grace away"
	case v.Retain == string(RetainGrace) && v.Grace <= 0:
		return "needs grace = … beside retain = \"grace\""
	case v.Grace > 0 && v.Retain != "" && v.Retain != string(RetainGrace):
		return "has a grace period, and needs retain = \"grace\" for that"
	case v.Retain != "" && v.Retain != string(RetainKeep) && (v.Share == string(ShareGroup) || v.Share == string(ShareAll)):
		return "is shared by several people and is deleted by an administrator only; take retain and grace away"
	}
	return ""
}

func (v *volume) claim(where scheduler.Placement) Claim {
	where.Affinities, where.Spreads, where.Priority = nil, nil, 0
	kind := scheduler.MountKind(v.Kind)
	c := Claim{
		Name: v.Label, Share: Share(cmp.Or(v.Share, v.usualShare())), Group: v.Group, Existing: v.Source, Grace: time.Duration(v.Grace),
		Retain: Retention(cmp.Or(v.Retain, string(RetainKeep))),
		Volume: scheduler.Volume{
			Kind: kind, Plugin: v.Plugin, Parameters: v.Parameters, Secrets: v.Secrets, MinMB: v.Size.mib(), MaxMB: v.SizeMax.mib(),
			AccessMode: v.AccessMode, AttachmentMode: v.AttachmentMode, Placement: where,
		},
		Mount: scheduler.Mount{
			Name: v.Label, Kind: kind, Source: v.Source, Path: v.Path, ReadOnly: v.ReadOnly, AccessMode: v.AccessMode, AttachmentMode: v.AttachmentMode,
		},
	}
	if v.Grace > 0 {
		c.Retain = RetainGrace
	}
	return c
}

// usualShare is the share if nothing is said: what the operator made is for everybody, an allocation's
// disk for its server, and the rest for all servers of the user.
func (v *volume) usualShare() string {
	switch {
	case v.Source != "":
		return string(ShareAll)
	case v.Kind == string(scheduler.MountSticky):
		return string(ShareServer)
	}
	return string(ShareUser)
}

func (e *evaluator) tasks(s settings, p *profile, r *Resolved) {
	for _, t := range s.Tasks {
		if !wanted(t.When) {
			continue
		}
		switch {
		case t.Image == "" && t.Command == "" && len(t.Config) == 0:
			e.add(p.where, "The task %q of the profile %q needs an image or a command.", t.Label, p.name)
		case t.Hook == "" && !t.Sidecar:
			e.add(p.where, "The task %q of the profile %q needs hook = \"prestart\", \"poststart\" or \"poststop\", or sidecar = true.", t.Label, p.name)
		case t.MemoryMax > 0 && t.MemoryMax < t.Memory:
			e.add(p.where, "The task %q of the profile %q has a memory_max below its memory.", t.Label, p.name)
		}
		for name := range t.Mounts {
			if !slices.ContainsFunc(s.Volumes, func(v *volume) bool { return v.Label == name }) {
				e.add(p.where, "The task %q of the profile %q mounts %q, and there is no such volume.", t.Label, p.name, name)
			}
		}
		made := scheduler.Task{
			Name: t.Label, Hook: scheduler.TaskHook(cmp.Or(t.Hook, string(scheduler.HookPrestart))), Sidecar: t.Sidecar, Driver: t.Driver, Image: t.Image,
			Command: t.Command, Args: t.Args, User: t.User, Config: t.Config, Env: t.Environment,
			Resources: scheduler.Resources{CPU: t.CPU, MemoryMB: cmp.Or(t.Memory, t.MemoryMax).mib(), MemoryMaxMB: t.MemoryMax.mib()},
		}
		for name, path := range t.Mounts { // of the volumes that this user's server has
			if slices.ContainsFunc(r.Volumes, func(c Claim) bool { return c.Name == name }) {
				if made.Mounts == nil {
					made.Mounts = map[string]string{}
				}
				made.Mounts[name] = path
			}
		}
		r.Workload.Tasks = append(r.Workload.Tasks, made)
	}
}
