package scheduler

import "time"

// Workload is what runs, where, and with which files, as the operator's profile says it. The zero value runs the operator's template
// as it stands; every field that is set wins over the template's. It is made of typed values only, and text in it that came from a user was
// checked against what the profile allows before it got here; see [Spec.Validate] for what is refused in any case.
//
// A scheduler that cannot do what a field asks for refuses the Spec with a [*RejectedError] that names it, and never runs the
// server without.
type Workload struct {
	// Template names the jobspec to begin with among those that the scheduler was made with; "" is the default one.
	Template string
	// Driver is Nomad's task driver: docker, podman, exec or raw_exec. "" leaves the template's.
	Driver string
	// Image is what container drivers run. "" leaves the template's.
	Image string
	// Command and Args are what the server's task runs. An empty Command leaves the template's, or the image's own; nil Args likewise.
	Command string
	Args    []string
	// User is who the task runs as: a name, or uid:gid for containers.
	User string
	// WorkDir is where the task begins, for drivers that have it.
	WorkDir string
	// Config are further options of the driver (shm_size, pids_limit, security_opt …) by their names: text, numbers, truth values, and lists and
	// maps of them. They are the operator's alone.
	Config map[string]any

	Placement Placement
	Network   Network
	Mounts    []Mount
	// Tasks run beside the server, or before or after it.
	Tasks []Task

	// StopSignal is what asks the server to end, such as SIGTERM; "" leaves the template's.
	StopSignal string
	// StopTimeout is how long it may take to save and end; zero leaves the template's.
	StopTimeout time.Duration
	// PullTimeout bounds how long an image may be pulled, for drivers that have it.
	PullTimeout time.Duration
	// Restart, Reschedule and Disconnect are the rules after an end of the task, of its machine, and of the contact with it; nil leaves the template's.
	Restart    *Restart
	Reschedule *Reschedule
	Disconnect *Disconnect
}

// Placement says which machines may run a server, and which do so rather.
type Placement struct {
	// Region and Namespace are Nomad's; "" is the scheduler's own.
	Region    string
	Namespace string
	// NodePool is the pool of machines; "" leaves the template's.
	NodePool string
	// Datacenters may have globs; nil leaves the template's.
	Datacenters []string
	// Priority is 1 to 100; 0 leaves the template's.
	Priority    int
	Constraints []Constraint
	Affinities  []Affinity
	Spreads     []Spread
}

// Constraint is a condition that a machine must meet, in Nomad's words: attribute, operator ("=", "!=", ">", "regexp", "version",
// "set_contains", "is_set" …), value.
type Constraint struct{ Attribute, Operator, Value string }

// Affinity is a wish with a weight from -100 to 100, not 0.
type Affinity struct {
	Constraint
	Weight int
}

// Spread asks Nomad to spread servers evenly over the values of an attribute, or by the shares in percent.
type Spread struct {
	Attribute string
	Weight    int // 1 to 100
	Targets   map[string]int
}

// Network says how the server is on the network.
type Network struct {
	// Mode is host, bridge, none, cni/NAME, or for docker a network of its own; "" leaves the template's.
	Mode string
	// Port is where the server listens inside its network; 0: at the port that it was given.
	Port int
	// HostNetwork is Nomad's name of the machine's network on which the port is taken; "" is the default one.
	HostNetwork string
	// Ports are further ports by label, each with the port inside; 0: the port that it was given.
	Ports map[string]int
	// DNS servers of the task; nil leaves the machine's.
	DNS []string
}

// MountKind says what a mount is made of.
type MountKind string

// The kinds of mounts.
const (
	MountHost    MountKind = "host"    // a static host volume, which the operator declared on the machines
	MountDynamic MountKind = "dynamic" // a dynamic host volume of Nomad 1.10 or newer, made by a [VolumeKeeper]
	MountCSI     MountKind = "csi"     // a CSI volume
	MountSticky  MountKind = "sticky"  // the allocation's own disk, which follows the server where Nomad places it anew by itself; it ends with a stop
	MountDocker  MountKind = "docker"  // a volume of the docker engine on one machine
)

// Mount is a file system that the server sees.
type Mount struct {
	// Name labels the mount within the job: a-z, 0-9, hyphen and underscore.
	Name string
	Kind MountKind
	// Source is what the cluster calls the volume. For [MountSticky] it is "".
	Source string
	// Path is where the task sees it: absolute and clean.
	Path     string
	ReadOnly bool
	// AccessMode and AttachmentMode are Nomad's, such as single-node-writer and file-system; "" lets the scheduler choose.
	AccessMode     string
	AttachmentMode string
}

// TaskHook says when a task beside the server runs.
type TaskHook string

// The hooks of tasks.
const (
	HookPrestart  TaskHook = "prestart"
	HookPoststart TaskHook = "poststart"
	HookPoststop  TaskHook = "poststop"
)

// Task runs beside the server: with Sidecar for as long as the server, else once to its end.
type Task struct {
	Name      string
	Hook      TaskHook
	Sidecar   bool
	Driver    string // "" is the server's
	Image     string
	Command   string
	Args      []string
	User      string
	Config    map[string]any
	Env       map[string]string
	Resources Resources
	// Mounts are names of the Workload's mounts which this task sees too, each with its path here.
	Mounts map[string]string
}

// Restart says what happens on the same machine when the server's task ends by itself.
type Restart struct {
	Attempts int           // 0: never; the end is reported
	Interval time.Duration // within which the attempts count
	Delay    time.Duration
}

// Reschedule says whether Nomad starts a failed server on another machine.
type Reschedule struct {
	Attempts  int
	Interval  time.Duration
	Unlimited bool
}

// Disconnect says what happens when the contact with the server's machine is lost.
type Disconnect struct {
	// LostAfter is how long the server counts as perhaps running.
	LostAfter time.Duration
	// Replace starts another one meanwhile. Two may then write to the same home.
	Replace bool
	// StopAfter has the machine itself stop the server after so long without contact; 0: never.
	StopAfter time.Duration
}

// Resources are what one server may use. Zero means the operator's default.
type Resources struct {
	CPU   int // MHz, reserved; excludes Cores and CPUGuarantee
	Cores int // whole cores for this server alone
	// CPUGuarantee is in cores, such as 0.5; the scheduler turns it into MHz by what the machines' cores have.
	CPUGuarantee float64
	// CPULimit is the most cores that the server may use, where its driver can hold it to that; 0: whatever is free.
	CPULimit    float64
	MemoryMB    int64 // MiB, reserved
	MemoryMaxMB int64 // MiB, the hard limit where the scheduler can go above the reservation
	DiskMB      int64 // MB of the allocation's own disk
	Devices     []Device
}

// Device asks for devices of a kind, such as "nvidia/gpu" or "nvidia/gpu/Tesla T4".
type Device struct {
	Name        string
	Count       int // at least 1
	Constraints []Constraint
	Affinities  []Affinity
}
