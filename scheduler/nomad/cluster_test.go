package nomad_test

import (
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/stack"
)

// cluster is the real stack with what the tests add to it.
type cluster struct {
	stack   *stack.Stack
	admin   *api.Client // management token
	token   string      // the management token
	hub     *api.Client // a token with testdata/policy.hcl and nothing else
	consul  *stack.Consul
	nomad   string // the program
	program string // copy of the test binary that every account may run
	harness atomic.Int64
}

const namespace = "notebooks"

func startCluster(t *testing.T) *cluster {
	t.Helper()
	return startClusterWith(t, stack.Options{})
}

func startClusterWith(t *testing.T, o stack.Options) *cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client that runs notebooks as another account must be root")
	}
	s := stack.NewOwn(t, o)
	c := &cluster{stack: s, consul: s.Consul, token: s.Nomad.Token, nomad: stack.Program(t, "nomad"), program: copyProgram(t, openDir(t))}
	c.admin = client(t, s.Nomad.Address, c.token)
	c.hub = client(t, s.Nomad.Address, c.hubToken(t))
	return c
}

func client(t *testing.T, address, token string) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: address, SecretID: token, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hubToken makes the namespace, the policy and a token with that policy alone.
func (c *cluster) hubToken(t *testing.T) string {
	t.Helper()
	policy, err := os.ReadFile("testdata/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.admin.Namespaces().Register(&api.Namespace{Name: namespace}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.admin.ACLPolicies().Upsert(&api.ACLPolicy{Name: "hub", Rules: string(policy)}, nil); err != nil {
		t.Fatal(err)
	}
	token, _, err := c.admin.ACLTokens().Create(&api.ACLToken{Type: "client", Policies: []string{"hub"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return token.SecretID
}

// openDir makes a temporary directory that all accounts may enter, which t.TempDir does not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nomadhub-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // see above
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func copyProgram(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "notebook")
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755) //nolint:gosec // other accounts run it
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// await repeats try until it succeeds.
func await(t *testing.T, what string, try func() error) {
	t.Helper()
	awaitFor(t, what, time.Minute, try)
}

func awaitFor(t *testing.T, what string, atMost time.Duration, try func() error) {
	t.Helper()
	deadline := time.NewTimer(atMost)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("waited %s in vain until %s: %v", atMost, what, err)
		}
	}
}
