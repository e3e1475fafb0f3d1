package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nomadhub/nomadhub/internal/freeport"
)

const (
	owner        = "postgres" // the cluster's superuser, not an account of the machine
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
)

// Server is a running Postgres. Its methods are for one goroutine at a time, but for URL, Exec, CreateDatabase and DropDatabase.
type Server struct {
	opts      Options
	dir       string
	temporary bool
	postgres  string
	password  string
	account   *syscall.Credential // nil: as ourselves
	port      int
	cmd       *exec.Cmd     // nil: stopped
	ended     chan struct{} // closed when cmd has ended
}

// Start makes a cluster, unless there is one, and runs a server on it until [Server.Stop] or the end of this process. It returns
// once the server answers. Cancelling ctx later does not stop it. The error is [ErrNotInstalled] if there is no Postgres.
func Start(ctx context.Context, opts Options) (*Server, error) {
	initdb, postgres, err := binaries()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, dir: opts.Dir, postgres: postgres}
	if s.account, err = account(); err != nil {
		return nil, fmt.Errorf("pgtest: %w", err)
	}
	if err := s.prepare(ctx, initdb); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: %w", err), s.remove())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("pgtest: %w", err), s.remove())
	}
	return s, nil
}

// URL returns the address of a database with the credentials of the cluster's owner. The database "postgres" is always there.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(owner, s.password), Path: "/" + database, RawQuery: "sslmode=disable",
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
	}
	return u.String()
}

// Port returns the port on the loopback address; it stays the same over a restart.
func (s *Server) Port() int { return s.port }

// CreateDatabase creates an empty database under a new name.
func (s *Server) CreateDatabase(ctx context.Context) (string, error) {
	name := "test_" + strings.ToLower(rand.Text()[:12])
	return name, s.Exec(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
}

// DropDatabase removes a database and ends the connections to it.
func (s *Server) DropDatabase(ctx context.Context, name string) error {
	return s.Exec(ctx, "postgres", "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
}

// Stop ends the server, all connections to it, and a temporary cluster. It is nil if the server is stopped already.
func (s *Server) Stop() error {
	return errors.Join(s.stop(syscall.SIGINT), s.remove())
}

// Pause ends the server and all connections to it at once, as if it had crashed, and keeps its data for [Server.Resume].
func (s *Server) Pause() error { return s.stop(syscall.SIGQUIT) }

// Resume starts the server again after [Server.Pause], on the same port.
func (s *Server) Resume(ctx context.Context) error {
	if s.cmd != nil {
		return nil
	}
	return s.start(ctx)
}

// Restart is Pause and Resume.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Pause(); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// prepare makes the folder and the cluster in it. The password lies beside the data for the next start.
func (s *Server) prepare(ctx context.Context, initdb string) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "nomadhub-postgres-")
		if err != nil {
			return err
		}
		s.dir, s.temporary = dir, true
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	passwordFile := filepath.Join(s.dir, "password")
	if _, err := os.Stat(filepath.Join(s.dir, "data", "PG_VERSION")); err == nil {
		password, err := os.ReadFile(passwordFile)
		s.password = string(password)
		return err
	}
	s.password = rand.Text()
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.account != nil {
		for _, path := range []string{s.dir, passwordFile} {
			if err := os.Chown(path, int(s.account.Uid), int(s.account.Gid)); err != nil {
				return err
			}
		}
	}
	cmd := exec.CommandContext(ctx, initdb, "--pgdata", filepath.Join(s.dir, "data"), "--username", owner,
		"--pwfile", passwordFile, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	cmd.Dir, cmd.SysProcAttr = s.dir, processAttributes(s.account)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// start runs the server and waits until it answers. With a free port, another process may take it first; then try the next.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var err error
	for range 3 {
		if s.port == 0 {
			if s.port, err = choosePort(s.opts.Port); err != nil {
				return err
			}
		}
		if err = s.run(ctx); err == nil {
			return nil
		}
		if s.opts.Port != 0 || ctx.Err() != nil {
			return err
		}
		s.port = 0
	}
	return err
}

func (s *Server) run(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the server has it open
	settings := []string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port), "unix_socket_directories=", "max_connections=200",
		"shared_buffers=32MB",
	}
	if !s.opts.Durable {
		settings = append(settings, "fsync=off", "full_page_writes=off")
	}
	arguments := []string{"-D", filepath.Join(s.dir, "data")}
	for _, setting := range settings {
		arguments = append(arguments, "-c", setting)
	}
	// Not CommandContext: the server outlives ctx.
	cmd := exec.Command(s.postgres, arguments...) //nolint:noctx // see above
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = s.dir, log, log, processAttributes(s.account)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended stands in the log
		close(ended)
	}()
	s.cmd, s.ended = cmd, ended
	if err := s.waitReady(ctx); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("start postgres: %w; it says: %s", err, text), s.stop(syscall.SIGQUIT))
	}
	return nil
}

// waitReady asks the server until it answers, ends, or ctx does.
func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.Exec(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// stop sends the signal and waits for the end: SIGINT ends connections and writes what is to be written, SIGQUIT leaves that to
// the next start.
func (s *Server) stop(signal syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(signal) // it may have ended by itself
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	s.cmd = nil
	return nil
}

func (s *Server) remove() error {
	if !s.temporary {
		return nil
	}
	return os.RemoveAll(s.dir)
}

func choosePort(wanted int) (int, error) {
	if wanted != 0 {
		return wanted, nil
	}
	ports, err := freeport.Find(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// account returns who the server runs as: nil for ourselves, or an account of the system if we are root, whom Postgres refuses.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is neither an account named postgres nor one named nobody")
}
