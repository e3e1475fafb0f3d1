// Package local runs notebook servers as processes on this machine, as JupyterHub's LocalProcessSpawner does.
//
// A server is a session of its own (setsid), listens on a free port of the loopback interface and writes to a log file. It
// belongs to nobody's life but its own: when the hub ends, however it ends, servers go on, and the next Scheduler on the same
// folder adopts them. For that, each server has a folder:
//
//	Dir/lock          held while a Scheduler uses Dir: two on one folder would start everything twice
//	Dir/ID/state.json what is known of the server; written before its process is made, after, and at its end
//	Dir/ID/alive      locked by the process itself, so that one whose ID was not yet written down is not overlooked
//	Dir/ID/log, log.1 what it printed, and what it printed before that
//
// A process is known by its process ID, its start time and a random marker in its environment (or, where that cannot be read, the
// inherited lock). Nothing is signalled unless all of them agree, so a process that was given an old server's ID is never harmed.
// All processes that carry the marker end with the server: kernels and what they started are sessions of their own and would
// otherwise stay behind.
//
// Two limits are known. Resources of a [scheduler.Spec] are not enforced: a process without a container has no limits that its
// children share, and a limit on addresses (RLIMIT_AS) breaks programs that reserve much and use little. And after a restart of
// the hub the exit code of an adopted server cannot be known, because the kernel tells it to the parent only.
//
// The package needs Linux: it reads /proc and, on Linux 5.3 or newer, uses process file descriptors.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

var (
	_ scheduler.Scheduler = (*Scheduler)(nil)
	_ scheduler.LogTailer = (*Scheduler)(nil)
)

// Options configure a [Scheduler]. Dir and Command are required.
type Options struct {
	// Dir is the folder for state and logs. It is made if needed, readable by this account alone.
	Dir string
	// Command is the program with its arguments that each server runs, such as jupyterhub-singleuser. A name without a slash is
	// looked up in the PATH of Env.
	Command []string
	// Env is the base of each server's environment. Nothing else of this process's environment reaches a server. HOME is added,
	// for a Spec with an Owner also USER, LOGNAME and SHELL; the Spec's own variables come last and win.
	Env map[string]string
	// Home says in which folder a server shall run; it becomes HOME too. A missing one is made. By default it is the home folder
	// of the account that the server runs as. Stop never removes it. An error from it is shown to the user.
	Home func(scheduler.Spec) (string, error)
	// InterruptGrace is how long a server may take to end after SIGINT, 10 seconds by default.
	InterruptGrace time.Duration
	// TerminateGrace is how long it may then take after SIGTERM, until it is killed; 5 seconds by default.
	TerminateGrace time.Duration
	// LogBytes bounds each of the two log files of a server, 8 MiB by default. A file can exceed it for a few seconds, and for as
	// long as no hub runs.
	LogBytes int64
	// Logger is for the operator; by default nothing is logged.
	Logger *slog.Logger
}

// Scheduler runs servers as processes on this machine. Make one with [New].
type Scheduler struct {
	opts     Options
	log      *slog.Logger
	bootID   string
	dirLock  *os.File
	starting keyedLocks // one start or stop at a time for each ID
	news     broadcast
	follows  sync.WaitGroup
	closed   chan struct{}

	// crashPoint is called at the points of a start between which a crash leaves different traces. Tests die there.
	crashPoint func(name string)

	mu            sync.Mutex
	servers       map[string]*server
	lastPlacement uint64
}

// server is one server in memory. Its fields but the first are guarded by Scheduler.mu, or constant.
type server struct {
	ended chan struct{} // closed when no process of it is left and its record says dead

	rec      record
	port     *claim   // nil if an earlier hub claimed it
	proc     *process // nil until there is one
	stopping bool     // somebody asked for its end
	stop     escalation
	looked   look // what it had used when somebody last asked
}

// New makes a Scheduler, adopting what runs already in Dir. It fails when another one uses Dir. Close it in the end.
func New(opts Options) (*Scheduler, error) {
	if opts.Dir == "" || len(opts.Command) == 0 {
		return nil, errors.New("local scheduler: Dir and Command are required")
	}
	opts.Command = slices.Clone(opts.Command)
	opts.InterruptGrace = cmp.Or(opts.InterruptGrace, 10*time.Second)
	opts.TerminateGrace = cmp.Or(opts.TerminateGrace, 5*time.Second)
	opts.LogBytes = cmp.Or(opts.LogBytes, 8<<20)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("local scheduler: find the folder for its state: %w", err)
	}
	opts.Dir = dir
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("local scheduler: make the folder for its state: %w", err)
	}
	dirLock, err := lockDir(opts.Dir)
	if err != nil {
		return nil, err
	}
	bootID, err := readBootID()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("local scheduler: %w", err), dirLock.Close())
	}
	s := &Scheduler{
		opts: opts, log: opts.Logger, bootID: bootID, dirLock: dirLock,
		closed: make(chan struct{}), crashPoint: func(string) {}, servers: make(map[string]*server),
	}
	if err := s.adoptAll(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close lets go of the servers, which go on running, and of the folder. Afterwards every method but Watch fails.
func (s *Scheduler) Close() error {
	s.mu.Lock()
	if s.isClosed() {
		s.mu.Unlock()
		return nil
	}
	close(s.closed)
	for _, srv := range s.servers {
		if srv.proc != nil {
			srv.proc.release()
		}
		srv.port.release()
	}
	s.mu.Unlock()
	s.follows.Wait()
	return s.dirLock.Close()
}

func (s *Scheduler) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// check is what every call begins with.
func (s *Scheduler) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isClosed() {
		return fmt.Errorf("%w: the local scheduler was closed", scheduler.ErrUnavailable)
	}
	return nil
}

// Status implements [scheduler.Scheduler].
func (s *Scheduler) Status(ctx context.Context, id string) (scheduler.Status, error) {
	if err := s.check(ctx); err != nil {
		return scheduler.Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	srv := s.servers[id]
	if srv == nil {
		return scheduler.Status{}, scheduler.ErrNotFound
	}
	return srv.rec.status(), nil
}

// List implements [scheduler.Scheduler]. Its answer is sorted by ID.
func (s *Scheduler) List(ctx context.Context) ([]scheduler.Status, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]scheduler.Status, 0, len(s.servers))
	for _, srv := range s.servers {
		all = append(all, srv.rec.status())
	}
	slices.SortFunc(all, func(a, b scheduler.Status) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}

func (s *Scheduler) lookup(id string) *server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.servers[id]
}

// forget removes a server that has ended, with its folder.
func (s *Scheduler) forget(srv *server) error {
	if err := removeFolder(s.folder(srv.rec.ID)); err != nil {
		return fmt.Errorf("remove what server %s left: %w", srv.rec.ID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, srv.rec.ID)
	srv.port.release()
	return nil
}

// update changes a server's record in memory and on disk and tells the watchers, all in one order.
func (s *Scheduler) update(srv *server, message string, change func(*server)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(srv)
	err := srv.rec.save(s.folder(srv.rec.ID))
	s.tell(srv, message)
	return err
}

// tell tells the watchers how a server is now. The caller holds s.mu.
func (s *Scheduler) tell(srv *server, message string) {
	status := srv.rec.status()
	s.news.publish(scheduler.Event{
		ID: status.ID, Generation: status.Generation, Time: time.Now(), Message: message, Status: &status,
	})
}
