package profile

import "time"

// settings are what a profile can say of a server. The layers of the configuration (defaults, profile, overrides, effects of options) are applied to
// one value of it, one after the other: a later one wins, and leaves alone what it does not mention.
//
// The tag "hcl" names the attribute or block; its kinds are: block (one), label (several, told apart by a label; the same label in a later
// layer changes the first), list (several, which add up) and free (any attributes). The tag "is" says what values are good, "text" what
// may come from a person: see checkText. The reference docs/reference/profiles.md names every one; a test sees to it.
type settings struct {
	Driver        string         `hcl:"driver" is:"word" text:"operator"`
	Image         image          `hcl:"image"`
	AllowedImages []string       `hcl:"allowed_images" text:"operator"`
	Command       string         `hcl:"command" text:"argument"`
	Args          []string       `hcl:"args" text:"argument"`
	User          string         `hcl:"user" text:"operator"`
	WorkDir       string         `hcl:"work_dir" is:"path"`
	Config        map[string]any `hcl:"config,free"`
	Jobspec       string         `hcl:"jobspec" is:"constant" text:"operator"`

	CPU          int       `hcl:"cpu"`
	Cores        int       `hcl:"cores"`
	CPUGuarantee float64   `hcl:"cpu_guarantee"`
	CPULimit     float64   `hcl:"cpu_limit"`
	MemGuarantee byteSize  `hcl:"mem_guarantee"`
	MemLimit     byteSize  `hcl:"mem_limit"`
	Disk         byteSize  `hcl:"disk"`
	Devices      []*device `hcl:"device,label" is:"device"`

	Region      string        `hcl:"region" text:"operator"`
	Namespace   string        `hcl:"namespace" text:"operator"`
	NodePool    string        `hcl:"node_pool" text:"operator"`
	Datacenters []string      `hcl:"datacenters" text:"operator"`
	Priority    int           `hcl:"priority" is:"priority"`
	Constraints []*constraint `hcl:"constraint,list"`
	Affinities  []*affinity   `hcl:"affinity,list"`
	Spreads     []*spread     `hcl:"spread,list"`
	Network     network       `hcl:"network,block"`

	Environment map[string]string `hcl:"environment" is:"environment" text:"literal"`
	DefaultURL  string            `hcl:"default_url" is:"url path" text:"literal"`
	NotebookDir string            `hcl:"notebook_dir" text:"literal"`
	Volumes     []*volume         `hcl:"volume,label" is:"name"`
	Tasks       []*task           `hcl:"task,label" is:"name"`

	StartTimeout  duration    `hcl:"start_timeout"`
	AnswerTimeout duration    `hcl:"answer_timeout"`
	QueueTimeout  duration    `hcl:"queue_timeout"`
	PullTimeout   duration    `hcl:"pull_timeout"`
	StopTimeout   duration    `hcl:"stop_timeout"`
	StopSignal    string      `hcl:"stop_signal" is:"signal" text:"operator"`
	Restart       *restart    `hcl:"restart,block"`
	Reschedule    *reschedule `hcl:"reschedule,block"`
	Disconnect    *disconnect `hcl:"disconnect,block"`

	IdleAfter duration `hcl:"idle_after" is:"or never"`
	MaxAge    duration `hcl:"max_age" is:"or never"`
}

type device struct {
	Label       string
	When        *bool         `hcl:"when"`
	Count       *int          `hcl:"count"`
	Constraints []*constraint `hcl:"constraint,list"`
	Affinities  []*affinity   `hcl:"affinity,list"`
}

type constraint struct {
	Attribute string `hcl:"attribute" text:"operator"`
	Operator  string `hcl:"operator" text:"operator"`
	Value     string `hcl:"value"`
}

type affinity struct {
	Attribute string `hcl:"attribute" text:"operator"`
	Operator  string `hcl:"operator" text:"operator"`
	Value     string `hcl:"value"`
	Weight    int    `hcl:"weight" is:"weight"`
}

type spread struct {
	Attribute string         `hcl:"attribute" text:"operator"`
	Weight    int            `hcl:"weight" is:"percent"`
	Targets   map[string]int `hcl:"targets" text:"operator"`
}

type network struct {
	Mode        string         `hcl:"mode" text:"operator"`
	Port        int            `hcl:"port" is:"port"`
	HostNetwork string         `hcl:"host_network" text:"operator"`
	DNS         []string       `hcl:"dns" text:"operator"`
	Ports       map[string]int `hcl:"ports" is:"port" text:"operator"`
}

type volume struct {
	Label          string
	When           *bool             `hcl:"when"`
	Kind           string            `hcl:"kind" is:"one of host dynamic csi sticky docker" text:"operator"`
	Share          string            `hcl:"share" is:"one of server user group all" text:"operator"`
	Group          string            `hcl:"group" text:"operator"`
	Path           string            `hcl:"path" is:"path"`
	Size           byteSize          `hcl:"size"`
	SizeMax        byteSize          `hcl:"size_max"`
	Plugin         string            `hcl:"plugin" text:"operator"`
	Parameters     map[string]string `hcl:"parameters"`
	Secrets        map[string]string `hcl:"secrets" text:"operator"`
	ReadOnly       bool              `hcl:"read_only"`
	Source         string            `hcl:"source" text:"operator"`
	AccessMode     string            `hcl:"access_mode" text:"operator"`
	AttachmentMode string            `hcl:"attachment_mode" is:"one of file-system block-device" text:"operator"`
	Retain         string            `hcl:"retain" is:"one of keep grace delete" text:"operator"`
	Grace          duration          `hcl:"grace"`
}

type task struct {
	Label       string
	When        *bool             `hcl:"when"`
	Hook        string            `hcl:"hook" is:"one of prestart poststart poststop" text:"operator"`
	Sidecar     bool              `hcl:"sidecar"`
	Driver      string            `hcl:"driver" is:"word" text:"operator"`
	Image       string            `hcl:"image" text:"operator"`
	Command     string            `hcl:"command" text:"argument"`
	Args        []string          `hcl:"args" text:"argument"`
	User        string            `hcl:"user" text:"operator"`
	Config      map[string]any    `hcl:"config,free"`
	Environment map[string]string `hcl:"environment" is:"environment" text:"argument"`
	CPU         int               `hcl:"cpu"`
	Memory      byteSize          `hcl:"memory"`
	MemoryMax   byteSize          `hcl:"memory_max"`
	Mounts      map[string]string `hcl:"mounts" is:"path"`
}

type restart struct {
	Attempts int      `hcl:"attempts"`
	Interval duration `hcl:"interval"`
	Delay    duration `hcl:"delay"`
}

type reschedule struct {
	Attempts  int      `hcl:"attempts"`
	Interval  duration `hcl:"interval"`
	Unlimited bool     `hcl:"unlimited"`
}

type disconnect struct {
	LostAfter duration `hcl:"lost_after"`
	Replace   bool     `hcl:"replace"`
	StopAfter duration `hcl:"stop_after"`
}

// heading is how a profile is shown.
type heading struct {
	DisplayName string `hcl:"display_name" text:"literal"`
	Description string `hcl:"description" text:"literal"`
	Icon        string `hcl:"icon" is:"word" text:"operator"`
	Default     bool   `hcl:"default"`
}

// optionHeading is how an option is shown and checked.
type optionHeading struct {
	DisplayName string   `hcl:"display_name" text:"literal"`
	Description string   `hcl:"description" text:"literal"`
	Type        string   `hcl:"type" is:"one of choice number text bool" text:"operator"`
	Choices     []string `hcl:"choices" text:"operator"`
	Min         *float64 `hcl:"min" is:"any number"`
	Max         *float64 `hcl:"max" is:"any number"`
	Step        float64  `hcl:"step"`
	Unit        string   `hcl:"unit" text:"literal"`
	Pattern     string   `hcl:"pattern" is:"pattern" text:"operator"`
	Hint        string   `hcl:"hint" text:"literal"`
	Default     *string  `hcl:"default" text:"literal"`
}

// choiceHeading is how one of several is shown.
type choiceHeading struct {
	DisplayName string `hcl:"display_name" text:"literal"`
	Description string `hcl:"description" text:"literal"`
	Default     bool   `hcl:"default"`
}

// rule says for whom something is: for everybody whom one of its parts names.
type rule struct {
	Users  []string `hcl:"users" text:"operator"`
	Groups []string `hcl:"groups" text:"operator"`
	When   bool     `hcl:"when"`
}

// byteSize is in bytes; it is written as JupyterHub writes it: 512M, 1.5G, or a number of bytes.
type byteSize int64

// mib is the size in MiB, rounded up: what somebody was promised is there.
func (b byteSize) mib() int64 { return (int64(b) + 1<<20 - 1) >> 20 }

// duration is written as 90s or 2h; where it may be "never" it is negative then.
type duration time.Duration

// image is what a container runs. option is the option whose free text it came from, or "".
type image struct {
	name   string
	option string
}
