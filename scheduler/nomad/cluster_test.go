package nomad_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
)

// cluster is a real Nomad with ACLs on, and a real Consul beside it where its program is found.
type cluster struct {
	admin   *api.Client // management token
	token   string      // the management token
	hub     *api.Client // a token with testdata/policy.hcl and nothing else
	consul  string      // address of Consul's HTTP API, or ""
	program string      // copy of the test binary that every account may run
	harness atomic.Int64
}

const namespace = "notebooks"

// binary finds a program of the real stack, or skips the test.
func binary(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("NOMADHUB_BIN_DIR"), "/var/cache/nomadhub/bin"} {
		if path := filepath.Join(dir, name); dir != "" {
			if _, err := os.Stat(path); err == nil {
				return path
			}
		}
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("NOMADHUB_TEST_REQUIRE") == "1" {
		t.Fatalf("the program %s is needed: put it on PATH or name its folder in NOMADHUB_BIN_DIR", name)
	}
	t.Skipf("skipped because there is no program %s on PATH or in NOMADHUB_BIN_DIR", name)
	return ""
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	nomad, consul := binary(t, "nomad"), binary(t, "consul")
	if os.Geteuid() != 0 {
		t.Skip("skipped because a Nomad client that runs notebooks as another account must be root")
	}
	dir := openDir(t)
	c := &cluster{consul: startConsul(t, consul), program: copyProgram(t, dir)}

	httpPort, rpcPort, serfPort := freePort(t), freePort(t), freePort(t)
	config := filepath.Join(dir, "nomad.hcl")
	text := fmt.Sprintf(nomadConfig, httpPort, rpcPort, serfPort, c.consul)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, dir, nomad, "agent", "-dev", "-bind", "127.0.0.1", "-network-interface", "lo", "-config", config)

	address := fmt.Sprintf("http://127.0.0.1:%d", httpPort)
	c.token = c.bootstrap(t, client(t, address, ""))
	c.admin = client(t, address, c.token)
	c.awaitNode(t)
	c.hub = client(t, address, c.hubToken(t))
	return c
}

const nomadConfig = `
ports {
  http = %d
  rpc  = %d
  serf = %d
}
acl { enabled = true }
plugin "raw_exec" { config { enabled = true } }
client {
  cpu_total_compute = 100000
  options = { "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean" }
}
consul { address = "%s" }
telemetry { disable_hostname = true }
`

func client(t *testing.T, address, token string) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{Address: address, SecretID: token, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) bootstrap(t *testing.T, anonymous *api.Client) string {
	t.Helper()
	var token *api.ACLToken
	await(t, "Nomad has a leader", func() (err error) {
		token, _, err = anonymous.ACLTokens().Bootstrap((&api.WriteOptions{}).WithContext(t.Context()))
		return err
	})
	return token.SecretID
}

func (c *cluster) awaitNode(t *testing.T) {
	t.Helper()
	await(t, "the Nomad client is ready with raw_exec and Consul", func() error {
		nodes, _, err := c.admin.Nodes().List(nil)
		if err != nil {
			return err
		}
		for _, stub := range nodes {
			node, _, err := c.admin.Nodes().Info(stub.ID, nil)
			if err != nil {
				return err
			}
			driver := node.Drivers["raw_exec"]
			if node.Status == "ready" && driver != nil && driver.Healthy && node.Attributes["consul.version"] != "" {
				return nil
			}
		}
		return fmt.Errorf("%d nodes, none ready", len(nodes))
	})
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

func startConsul(t *testing.T, program string) (address string) {
	t.Helper()
	port := freePort(t)
	address = fmt.Sprintf("127.0.0.1:%d", port)
	args := []string{"agent", "-dev", "-bind", "127.0.0.1", "-http-port", fmt.Sprint(port), "-dns-port", "-1", "-grpc-port", "-1", "-grpc-tls-port", "-1"}
	for _, name := range []string{"-server-port", "-serf-lan-port", "-serf-wan-port"} {
		args = append(args, name, fmt.Sprint(freePort(t)))
	}
	run(t, openDir(t), program, args...)
	await(t, "Consul has a leader", func() error {
		text, err := get(t.Context(), "http://"+address+"/v1/status/leader")
		if err == nil && len(text) < 5 {
			err = fmt.Errorf("leader is %s", text)
		}
		return err
	})
	return address
}

// run starts a server and stops it at the end of the test; its output is shown when the test failed.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	// Nomad's fingerprinter of AWS stops the agent where this is set; its own variables would configure it.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, "AWS_CA_BUNDLE=") || strings.HasPrefix(entry, "NOMAD_") || strings.HasPrefix(entry, "CONSUL_")
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // a dev agent ends its tasks on this
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(40 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			t.Logf("the end of the log of %s:\n%s", filepath.Base(program), text[max(0, len(text)-8000):])
		}
		_ = out.Close()
	})
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

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = cmp.Or(err, fmt.Errorf("status %d: %s", resp.StatusCode, text))
	}
	return text, err
}

// await repeats try until it succeeds.
func await(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
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
			t.Fatalf("waited a minute in vain until %s: %v", what, err)
		}
	}
}
