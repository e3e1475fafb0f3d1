package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
)

// shared is the one stack of this test process; see [New] and [Main].
var shared struct {
	once  sync.Once
	stack *Stack
	err   error
}

// New returns the one stack that all tests of this process share. Tests must keep out of each other's way: use own namespaces,
// prefixes and IDs, and start a stack of their own to kill its servers. The test is skipped where the servers' programs cannot be
// had, unless NOMADHUB_TEST_REQUIRE is 1. The package needs a TestMain that calls [Main].
func New(t testing.TB) *Stack {
	t.Helper()
	shared.once.Do(func() {
		shared.stack, shared.err = Start(context.Background(), Options{})
	})
	need(t, shared.err)
	return shared.stack
}

// NewOwn starts a stack for one test, which may kill its servers, and stops it when the test ends.
func NewOwn(t testing.TB, o Options) *Stack {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := Start(t.Context(), o)
	need(t, err)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop the stack: %v", err)
		}
	})
	return s
}

// Program returns the path of one server program, as [Binary] does, for tests that run it in a way of their own. Without it the test is skipped as by [New].
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := Binary(t.Context(), name)
	need(t, err)
	return path
}

func need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrUnavailable) && os.Getenv("NOMADHUB_TEST_REQUIRE") != "1":
		t.Skip(err)
	default:
		t.Fatalf("the real stack does not start: %v", err)
	}
}

// Main runs the package's tests, stops the stack that [New] started, and ends the process. Call it from TestMain.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is [Main] for who has more to put away: it returns the code to exit with.
func Run(m *testing.M) (code int) {
	code = m.Run()
	if shared.stack != nil {
		if err := shared.stack.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the stack:", err)
			code = max(code, 1)
		}
	}
	return code
}
