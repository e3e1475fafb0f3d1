// Package pgtest runs a throw-away Postgres: a cluster of its own in a folder of its own, on a free port of the loopback address,
// that ends with the process that started it.
//
// Tests call [New] for a fresh database on a server that the test binary shares, and [Main] from TestMain to end it. Programs
// that need a server of their own, and tests that restart it, call [Start].
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// RequireEnv names the environment variable that, set to 1, makes tests fail that cannot find what they need, instead of
// skipping them.
const RequireEnv = "NOMADHUB_TEST_REQUIRE"

// ErrNotInstalled means that there is no Postgres on this machine.
var ErrNotInstalled = errors.New(
	"no Postgres found: neither initdb and postgres on the PATH nor below /usr/lib/postgresql; on Debian: apt-get install postgresql")

// Options say where and how the server runs. The zero value is right for tests.
type Options struct {
	// Dir is where the cluster is kept. One that is there already is started again. "" is a temporary folder, which Stop removes.
	Dir string
	// Port on the loopback address; 0: a free one.
	Port int
	// Durable makes commits survive a crash of the machine. Throw-away clusters do without.
	Durable bool
}

// shared is the server of this test binary; see [Main].
var shared struct {
	sync.Mutex
	inMain bool
	server *Server
	err    error
}

// Main runs the tests and ends the server that they shared. It returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	shared.Lock()
	shared.inMain = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest:", err)
			return max(code, 1)
		}
	}
	return code
}

// New returns the URL of a fresh, empty database, which is dropped at the end of the test. The test is skipped if there is no
// Postgres, or fails if [RequireEnv] is 1.
func New(t testing.TB) string {
	t.Helper()
	s := sharedServer(t)
	name, err := s.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		if err := s.DropDatabase(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return s.URL(name)
}

// NewServer returns a server of the test's own, which may be stopped and restarted, and ends with the test.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s, err := Start(t.Context(), Options{})
	if err != nil {
		lacking(t, err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sharedServer(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		t.Fatal("pgtest.New shares a server among the tests of a package, and needs a TestMain that calls pgtest.Main to end it")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Start(context.WithoutCancel(t.Context()), Options{})
	}
	if shared.err != nil {
		lacking(t, shared.err)
	}
	return shared.server
}

// lacking skips the test if there is no Postgres and none is required, and fails it otherwise.
func lacking(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrNotInstalled) && os.Getenv(RequireEnv) != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

// Installed is nil if this machine has a Postgres, and [ErrNotInstalled] otherwise.
func Installed() error {
	_, _, err := binaries()
	return err
}

// binaries returns the paths of initdb and postgres: from the PATH, else the newest version where Debian installs them.
func binaries() (initdb, postgres string, err error) {
	initdb, err1 := exec.LookPath("initdb")
	postgres, err2 := exec.LookPath("postgres")
	if err1 == nil && err2 == nil {
		return initdb, postgres, nil
	}
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is well-formed
	slices.SortFunc(dirs, newerFirst)
	for _, dir := range dirs {
		initdb, err1 = exec.LookPath(filepath.Join(dir, "initdb"))
		postgres, err2 = exec.LookPath(filepath.Join(dir, "postgres"))
		if err1 == nil && err2 == nil {
			return initdb, postgres, nil
		}
	}
	return "", "", ErrNotInstalled
}

// newerFirst orders folders by version: 9 is older than 15.
func newerFirst(a, b string) int {
	if len(a) != len(b) {
		return len(b) - len(a)
	}
	if a > b {
		return -1
	}
	return 1
}

// Exec runs statements in a database, as the cluster's owner.
func (s *Server) Exec(ctx context.Context, database, text string) error {
	conn, err := pgx.Connect(ctx, s.URL(database))
	if err != nil {
		return fmt.Errorf("pgtest: connect to %s: %w", database, err)
	}
	_, err = conn.Exec(ctx, text)
	return errors.Join(err, conn.Close(ctx))
}
