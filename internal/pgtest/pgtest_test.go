package pgtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nomadhub/nomadhub/internal/pgtest"
)

// childEnv makes this test binary start a server, print where it is, and wait to be killed.
const childEnv = "PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	os.Exit(pgtest.Main(m))
}

func child() int {
	s, err := pgtest.Start(context.Background(), pgtest.Options{Dir: os.Getenv(childEnv)})
	if err != nil {
		io.WriteString(os.Stderr, err.Error())
		return 1
	}
	io.WriteString(os.Stdout, s.URL("postgres")+"\n")
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func TestNewGivesEmptyDatabasesOfTheirOwn(t *testing.T) {
	t.Parallel()
	one, two := pgtest.New(t), pgtest.New(t)
	if one == two {
		t.Fatalf("both tests got %s", one)
	}
	if _, err := connect(t, one).Exec(t.Context(), "CREATE TABLE things (id INT)"); err != nil {
		t.Fatal(err)
	}
	var tables int
	err := connect(t, two).QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables)
	if err != nil || tables != 0 {
		t.Fatalf("the second database has %d tables, err %v", tables, err)
	}
}

func TestRestartKeepsDataAndPortAndEndsConnections(t *testing.T) {
	t.Parallel()
	s := pgtest.NewServer(t)
	before := connect(t, s.URL("postgres"))
	if _, err := before.Exec(t.Context(), "CREATE TABLE kept (id INT)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection survived the restart")
	}
	if _, err := connect(t, s.URL("postgres")).Exec(t.Context(), "SELECT * FROM kept"); err != nil {
		t.Error(err)
	}
}

func TestStopRemovesATemporaryClusterOnly(t *testing.T) {
	t.Parallel()
	// Not t.TempDir, whose parents another account may not enter.
	dir, err := os.MkdirTemp("", "pgtest-kept-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	start := func() *pgtest.Server {
		s, err := pgtest.Start(t.Context(), pgtest.Options{Dir: filepath.Join(dir), Durable: true})
		if errors.Is(err, pgtest.ErrNotInstalled) && os.Getenv(pgtest.RequireEnv) != "1" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	if err := s.Exec(t.Context(), "postgres", "CREATE TABLE kept (id INT)"); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
	again := start()
	if err := again.Exec(t.Context(), "postgres", "SELECT * FROM kept"); err != nil {
		t.Error(err)
	}
	if err := again.Stop(); err != nil {
		t.Error(err)
	}
}

// A test binary that panics or is killed runs no cleanup, and must leave no server behind either.
func TestServerEndsWithAKilledParent(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "pgtest-orphan-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	pgtest.New(t) // skips if there is no Postgres

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var failure bytes.Buffer
	cmd.Stderr = &failure
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 512)
	n, err := stdout.Read(line)
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("%v: %s", err, failure.String())
	}
	url := strings.TrimSpace(string(line[:n]))
	if _, err := connect(t, url).Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	deadline := time.After(60 * time.Second)
	for {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			return
		}
		_ = conn.Close(t.Context())
		select {
		case <-deadline:
			t.Fatal("the server still answers after its parent was killed")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
