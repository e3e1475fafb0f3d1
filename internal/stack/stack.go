// Package stack runs a real Nomad, Consul and Vault on the loopback address, with access control on in all three and with
// Consul and Vault trusting Nomad's workload identities, for the tests and for "make cluster". Postgres and a small OpenID
// Connect provider (dex) come beside them when asked for.
//
//	Consul   ACLs, default deny; Nomad has a token of its own
//	Vault    file storage, unsealed by Start; key/value version 2 at secret/
//	Nomad    a server and a client; ACLs; raw_exec; memory oversubscription
//	         services and tasks log in to Consul (auth method nomad-workloads) and Vault (jwt-nomad) by identity
//
// Every server can be killed and started again on its data and address. Stop ends the jobs first and then the servers; if the
// process that made the stack dies without stopping it, a watchdog ends what it left.
package stack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/internal/leftover"
)

const pollEvery = 100 * time.Millisecond

// Options say what to start. The zero value starts Consul, Vault and Nomad on free ports, in a temporary folder.
type Options struct {
	// Dir holds data and logs, and is new or empty. "" makes a temporary folder that Stop removes. Nomad puts sockets below it,
	// whose paths may have about a hundred bytes, so Dir must be short.
	Dir string
	// Logger hears what is started and stopped. Nil: nobody.
	Logger *slog.Logger
	// Ports are fixed ports; those that are zero are chosen free.
	Ports Ports
	// Postgres and Dex start those too.
	Postgres bool
	Dex      *DexOptions
	// Drivers are those of the Nomad client beside raw_exec.
	Drivers Drivers
}

// Ports are the loopback ports that people and jobs meet.
type Ports struct {
	Nomad, Consul, Vault, Postgres, Dex int
}

// Stack is the running servers. What was not asked for is nil.
type Stack struct {
	Dir      string
	Consul   *Consul
	Vault    *Vault
	Nomad    *Nomad
	Dex      *Dex
	Postgres *Postgres

	logger    *slog.Logger
	removeDir bool
	unwatch   func() error
}

// Start builds what is missing and returns when all servers answer. On error nothing is left running.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Stack{logger: o.Logger, removeDir: o.Dir == ""}
	var err error
	if o.Dir, err = prepareDir(o.Dir); err != nil {
		return nil, err
	}
	s.Dir = o.Dir
	if err := s.start(ctx, o); err != nil {
		s.removeDir = false // its logs tell why
		return nil, errors.Join(fmt.Errorf("%w (logs in %s)", err, filepath.Join(s.Dir, "log")), s.Stop())
	}
	return s, nil
}

// longestDir leaves room in a socket's address for /nomad/alloc/UUID/TASK/secrets/api.sock.
const longestDir = 40

func prepareDir(dir string) (string, error) {
	if dir == "" {
		made, err := os.MkdirTemp("", "nomadhub-")
		if err != nil {
			return "", err
		}
		dir = made
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if len(dir) > longestDir {
		return "", fmt.Errorf("the path %s is longer than %d bytes: Nomad could not make its sockets below it; choose a shorter one", dir, longestDir)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("the folder %s is not empty: a stack starts afresh, since nobody keeps the tokens of an earlier one", dir)
	}
	// Other accounts may pass through to the tasks that Nomad runs as them, and see nothing else.
	for _, d := range []string{"", "log", "consul", "vault", "nomad-server", "nomad"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return "", err
		}
	}
	return dir, errors.Join(os.Chmod(dir, 0o711), os.Chmod(filepath.Join(dir, "nomad"), 0o711))
}

func (s *Stack) start(ctx context.Context, o Options) (err error) {
	paths := map[string]string{}
	for _, name := range o.tools() {
		if paths[name], err = Binary(ctx, name); err != nil {
			return err
		}
	}
	if s.unwatch, err = leftovers(s.Dir).Watch(); err != nil {
		return err
	}
	ports, err := FreePorts(10)
	if err != nil {
		return err
	}
	choose := func(fixed int, free *int) {
		if fixed != 0 {
			*free = fixed
		}
	}
	choose(o.Ports.Consul, &ports[0])
	choose(o.Ports.Vault, &ports[3])
	choose(o.Ports.Nomad, &ports[5])
	choose(o.Ports.Dex, &ports[9])

	if s.Consul, err = newConsul(o, paths["consul"], ports[0:3]); err != nil {
		return err
	}
	if s.Vault, err = newVault(o, paths["vault"], ports[3:5]); err != nil {
		return err
	}
	if err := inParallel(
		func() error { return startAndSetUp(ctx, s.Consul.Start, s.Consul.setup) },
		func() error { return startAndSetUp(ctx, s.Vault.Start, s.Vault.setup) },
		func() error { return s.startDex(ctx, o, paths["dex"], ports[9]) },
		func() error { return s.startPostgres(ctx, o) },
	); err != nil {
		return err
	}
	// Nomad is told Consul's token in its configuration, and the other two check Nomad's keys when they are told of them.
	if s.Nomad, err = newNomad(o, paths["nomad"], ports[5:9], s.Consul, s.Vault); err != nil {
		return err
	}
	if err := s.Nomad.Start(ctx); err != nil {
		return err
	}
	return inParallel(
		func() error { return s.Nomad.Node.Start(ctx) },
		func() error { return s.Consul.trustNomad(ctx, s.Nomad.JWKS()) },
		func() error { return s.Vault.trustNomad(ctx, s.Nomad.JWKS()) },
	)
}

func (o Options) tools() []string {
	names := []string{"consul", "vault", "nomad"}
	if o.Dex != nil {
		names = append(names, "dex")
	}
	return names
}

func startAndSetUp(ctx context.Context, start, setUp func(context.Context) error) error {
	if err := start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return setUp(ctx)
}

func inParallel(steps ...func() error) error {
	errs := make(chan error)
	for _, step := range steps {
		go func() { errs <- step() }()
	}
	var all error
	for range steps {
		all = errors.Join(all, <-errs)
	}
	return all
}

// Stop ends all jobs and then all servers, and leaves no process behind. It may be called twice.
func (s *Stack) Stop() error {
	var errs []error
	if s.Nomad != nil {
		errs = append(errs, s.Nomad.stopJobs(context.Background()))
	}
	for _, p := range s.processes() {
		errs = append(errs, p.Stop())
	}
	if s.Nomad != nil {
		errs = append(errs, s.Nomad.ports.release())
	}
	errs = append(errs, s.stopPostgres(), s.sweep())
	if s.unwatch != nil {
		errs = append(errs, s.unwatch())
		s.unwatch = nil
	}
	if s.removeDir {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	s.logger.Info("stack stopped", "dir", s.Dir)
	return errors.Join(errs...)
}

// sweep is the last step: after an orderly stop it finds at most what Nomad forgets of its tasks.
func (s *Stack) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), sweepTimeout)
	defer cancel()
	return leftovers(s.Dir).Sweep(ctx)
}

// processes are the servers in the order in which they are stopped: who depends on others goes first.
func (s *Stack) processes() []*Process {
	var all []*Process
	if s.Nomad != nil {
		all = append(all, s.Nomad.Node, s.Nomad.Process)
	}
	if s.Dex != nil {
		all = append(all, s.Dex.Process)
	}
	if s.Vault != nil {
		all = append(all, s.Vault.Process)
	}
	if s.Consul != nil {
		all = append(all, s.Consul.Process)
	}
	return slices.DeleteFunc(all, func(p *Process) bool { return p == nil })
}

// leftovers are the stack's. Nomad hands its mark on to the tasks that it starts. Each client has a folder, and each allocation one in it.
func leftovers(dir string) leftover.Run { return leftover.Run{Dir: dir, Made: []string{"*/alloc/*"}} }

func (o Options) process(name, path string, args ...string) *Process {
	return &Process{
		name: name, path: path, args: args, env: environment(o.Dir), dir: o.Dir,
		log: logPath(o.Dir, name), logger: o.Logger,
	}
}

// writeJSON puts a server's configuration where only this account can read it: it holds tokens.
func writeJSON(dir, name string, v any) (path string, err error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, text, 0o600)
}
