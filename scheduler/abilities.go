package scheduler

import (
	"context"
	"io"
	"time"
)

// The interfaces of this file are abilities that a [Scheduler] may have beside the contract. Who needs one asks the scheduler for it by
// a type assertion, and does without where it is missing. All of them return [ErrNotFound] for the unknown and
// [ErrUnavailable] when the cluster could not be asked.

// LogTailer can show the end of what a server printed.
type LogTailer interface {
	// LogTail returns at most the last n lines of the server's standard error and output, oldest first, without escapes.
	LogTail(ctx context.Context, id string, n int) ([]string, error)
}

// LogQuery says what of a log is wanted.
type LogQuery struct {
	Errors bool  // standard error instead of standard output
	Tail   int64 // only the last bytes; 0: from the beginning
	Follow bool  // go on with what is printed until the server ends
}

// LogReader can read all that a server printed, as the bytes that they are.
type LogReader interface {
	// Log returns the log of the server's present or last run. With Follow, reading waits for more until the run ends, the context ends, or Close.
	Log(ctx context.Context, id string, q LogQuery) (io.ReadCloser, error)
}

// Usage is what a server uses at one moment.
type Usage struct {
	Time        time.Time
	CPU         float64 // cores
	MemoryBytes int64   // resident, or what counts against the limit
	MemoryLimit int64   // bytes; 0: none
	Devices     []DeviceUsage
}

// DeviceUsage is what one device says of itself, such as "memory" in MiB or "utilization" in percent.
type DeviceUsage struct {
	Name   string // vendor/type/model
	ID     string
	Values map[string]string
}

// Meter can say what a server uses.
type Meter interface {
	Usage(ctx context.Context, id string) (Usage, error)
}

// PeakMeter can say how much memory a server took that runs no more, while the cluster remembers its last run.
type PeakMeter interface {
	// PeakMemory returns the most memory of the last run that was measured, in bytes; 0: none was. What was taken between two measurements is not in it.
	PeakMemory(ctx context.Context, id string) (int64, error)
}

// Historian can tell what happened to a server, oldest first, as far as the cluster remembers: each run, its machine, and its tasks' events.
type Historian interface {
	History(ctx context.Context, id string) ([]Event, error)
}

// Verdict says whether a server could start.
type Verdict string

// The verdicts.
const (
	FitsNow   Verdict = "fits"  // there is room at this moment
	FitsLater Verdict = "waits" // machines could run it and have no room now
	FitsNever Verdict = "never" // no machine of the cluster could run it, even if empty
)

// Forecast is the answer to "will it start?".
type Forecast struct {
	Verdict Verdict
	// Reason is a sentence; "" where it fits.
	Reason string
	// Resource is what is short ("memory", "cpu", "nvidia/gpu", "disk", "port"), or "".
	Resource string
	Pool     string // the node pool that was looked at
}

// Planner can tell before a start whether there is room.
type Planner interface {
	// Plan asks the cluster and changes nothing. A *RejectedError means that the cluster does not accept the Spec at all.
	Plan(ctx context.Context, spec Spec) (Forecast, error)
}

// Node is a machine of the cluster.
type Node struct {
	ID, Name, Pool, Datacenter string
	Class                      string
	Ready                      bool // up and eligible: it takes new work
	Draining                   bool
	Drivers                    []string // healthy ones, sorted
	CPU                        int      // MHz in all
	MHzPerCore                 int      // 0: not known
	MemoryMB, DiskMB           int64
	Devices                    map[string]int // by vendor/type/model
}

// Surveyor can list the machines.
type Surveyor interface {
	Nodes(ctx context.Context) ([]Node, error)
}

// Advisor can say what of a Spec the cluster will not do: limits that it ignores, drivers that no machine has.
type Advisor interface {
	// Advise returns a sentence for the operator for each; none: all is well. It asks the cluster and changes nothing. What it may not ask
	// it passes over. A *RejectedError means that a start would refuse the Spec.
	Advise(ctx context.Context, spec Spec) ([]string, error)
}

// Fresh can say how old its knowledge of the cluster is at most.
type Fresh interface {
	// LastSign is when the event stream last gave a sign of life; zero: not yet.
	LastSign() time.Time
}

// Volume is a place for files that outlives servers.
type Volume struct {
	// ID is the caller's and never changes: the alphabet of [Spec.ID].
	ID   string
	Kind MountKind // [MountDynamic] or [MountCSI]; other kinds need not be made
	// Plugin, Parameters and Secrets are the plugin's. "" is the built-in plugin mkdir, for dynamic volumes.
	Plugin     string
	Parameters map[string]string
	Secrets    map[string]string
	// MinMB and MaxMB bound the capacity in MiB; 0: the plugin's choice. The built-in plugin does not hold users to it.
	MinMB, MaxMB int64
	// AccessMode and AttachmentMode are Nomad's; "" is single-node-writer and file-system.
	AccessMode, AttachmentMode string
	// Where it may be made.
	Placement Placement
	// Labels describe it to an operator.
	Labels map[string]string
}

// VolumeState is a volume as the cluster has it.
type VolumeState struct {
	ID   string
	Kind MountKind
	// Name is what a [Mount] gives as its Source.
	Name string
	// Node and NodeID are the machine that it is on, and that its server therefore must run on; "": any.
	Node, NodeID string
	Ready        bool
	InUse        bool // by a server that has not ended
	CapacityMB   int64
	Reason       string // a sentence: why it is not ready
}

// VolumeKeeper can make and delete volumes.
type VolumeKeeper interface {
	// EnsureVolume makes the volume, or returns the one that there is, however often it is called. It returns when the volume is ready to
	// be mounted. A *RejectedError means that it can never be made as asked.
	EnsureVolume(ctx context.Context, v Volume) (VolumeState, error)
	// VolumeByID reports one volume.
	VolumeByID(ctx context.Context, kind MountKind, id string) (VolumeState, error)
	// Volumes reports all that this scheduler made.
	Volumes(ctx context.Context) ([]VolumeState, error)
	// DeleteVolume deletes the volume with everything in it. Deleting the unknown is nil; one in use is a *RejectedError.
	DeleteVolume(ctx context.Context, kind MountKind, id string) error
}

// WarmImage is an image that machines of a pool keep, so that a start need not wait until it is pulled.
type WarmImage struct {
	Driver string // docker or podman
	Image  string
	Pool   string // the node pool; "" is the cluster's default
}

// Warmth says how far an image is kept.
type Warmth struct {
	WarmImage
	Nodes int // machines that could run it
	Ready int // of which have it
}

// Warmer can keep images on machines.
type Warmer interface {
	// Warm makes the machines keep exactly these images, and lets go of those of earlier calls. Calling it again changes nothing.
	Warm(ctx context.Context, images []WarmImage) error
	// Warmth reports the images of the last call to Warm, whichever process made it.
	Warmth(ctx context.Context) ([]Warmth, error)
}
