// Package nomad runs servers as Nomad jobs.
//
// One server is one job, named from the server's ID, made of an operator's jobspec, and one Nomad Variable at the path that
// the job's own workload identity may read. A start goes
//
//	read job ─► end an older generation ─► write variable (check-and-set) ─► register job (EnforceIndex) ─► look again
//
// and a stop the same road backwards:
//
//	mark job as stopped ─► wait until every allocation is terminal ─► delete variable ─► purge job
//
// Any step may be the last one that a hub does: whoever starts or stops the same server next goes on from there. Nomad checks
// EnforceIndex before it writes and not while it writes, so two registrations in the same instant can both pass; a variable is
// compared while it is written. So the variable carries the generation and decides who is newest, and a start looks at both again
// after it registered. While a watch runs, a start and a stop read nothing on the usual way: they write where they expect nothing, or what they wrote themselves, and
// look at everything when that is refused.
package nomad

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Options configure a Scheduler.
type Options struct {
	// Client reaches Nomad with a token whose policy is at least the one in testdata/policy.hcl. Required.
	Client *api.Client
	// Namespace holds the jobs and variables, whatever the client's own is; by default "default".
	Namespace string
	// Region is Nomad's region; by default the client's.
	Region string

	// Jobspec is the operator's jobspec in HCL2; Nomad parses it. Required. It has one group with a port labelled "http", and a
	// task named "notebook" (or only one task).
	Jobspec string
	// Variables are values of the jobspec's variables. Text is given as it is; lists and objects as JSON.
	Variables map[string]string
	// Jobspecs are further ones, by the names under which a Spec's Workload chooses them; see [Scheduler.SetJobspecs]. Each gets those of the
	// Variables that it declares.
	Jobspecs map[string]string
	// MHzPerCore says what a processor core counts in Nomad, for a hub that may not read nodes. By default it is what a core of the slowest
	// machine in a server's node pool has.
	MHzPerCore int

	// JobPrefix begins the ID of each job and separates several hubs in one namespace; by default "notebook-". Two schedulers of which one's prefix begins with the other's do
	// not see each other's jobs if what follows has an underscore in it.
	JobPrefix string
	// BindAddress is the host in the URL that a server is told to listen at. By default the jobspec decides: "0.0.0.0" where the server
	// has a network of its own (the group's mode is bridge or cni, or the task publishes the port), else "${NOMAD_IP_http}", the address
	// that the port was allocated on. Nomad replaces its own variables in it.
	BindAddress string
	// StopTimeout, if not zero, is how long a server may take to end by itself when it is stopped, instead of the jobspec's
	// kill_timeout.
	StopTimeout time.Duration
	// StreamSilence is how long Nomad's event stream may say nothing, not even a heartbeat (30 s), before it counts as cut whatever
	// else speaks for it; by default 65 seconds.
	StreamSilence time.Duration
	// ProbeInterval is how long on average to wait between two small questions by which a frozen stream is noticed; by default 1 second.
	ProbeInterval time.Duration
	// Logger gets what is not an error of a call; by default nothing is logged.
	Logger *slog.Logger
}

// Scheduler runs servers as Nomad jobs. It keeps nothing in memory but the parsed jobspec, what it knows of machines, what the event stream told
// since the present connection began (see mirror.go), what Nomad listed last (see census.go), and at which indexes
// it wrote what it started (see written.go).
type Scheduler struct {
	client    *api.Client
	opts      Options
	templates atomic.Pointer[map[string]*jobspec] // by name; the default one is ""
	nodes     nodeCache
	signs     signs
	drains    drains
	news      news
	mirror    mirror
	census    census
	written   writings
}

var (
	_ scheduler.Scheduler = (*Scheduler)(nil)
	_ scheduler.LogTailer = (*Scheduler)(nil)
	_ scheduler.Planner   = (*Scheduler)(nil)
	_ scheduler.Surveyor  = (*Scheduler)(nil)
	_ scheduler.Advisor   = (*Scheduler)(nil)
	_ scheduler.Fresh     = (*Scheduler)(nil)
)

// A job's ID is part of its variable's path, which allows fewer characters than a job's ID does.
var prefixPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

// New checks the options. It does not talk to Nomad; see [Scheduler.Check].
func New(opts Options) (*Scheduler, error) {
	opts.Namespace = cmp.Or(opts.Namespace, api.DefaultNamespace)
	opts.JobPrefix = cmp.Or(opts.JobPrefix, "notebook-")
	opts.StreamSilence = cmp.Or(opts.StreamSilence, 65*time.Second)
	opts.ProbeInterval = cmp.Or(opts.ProbeInterval, time.Second)
	opts.Logger = cmp.Or(opts.Logger, slog.New(slog.DiscardHandler))
	switch {
	case opts.Client == nil:
		return nil, errors.New("nomad: no client given")
	case strings.TrimSpace(opts.Jobspec) == "":
		return nil, errors.New("nomad: no jobspec given")
	case !prefixPattern.MatchString(opts.JobPrefix):
		return nil, fmt.Errorf("nomad: the job prefix %q needs 1 to 48 letters, digits, hyphens and underscores", opts.JobPrefix)
	case opts.MHzPerCore < 0:
		return nil, fmt.Errorf("nomad: %d MHz per core cannot be", opts.MHzPerCore)
	case strings.ContainsAny(opts.BindAddress, "/ \t\n\"'@"):
		return nil, fmt.Errorf("nomad: the bind address %q is no host", opts.BindAddress)
	}
	s := &Scheduler{client: opts.Client, opts: opts}
	if err := s.SetJobspecs(opts.Jobspecs); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Scheduler) jobID(id string) string { return s.opts.JobPrefix + id }

func (s *Scheduler) variablePath(id string) string { return "nomad/jobs/" + s.jobID(id) }
