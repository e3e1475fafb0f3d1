package hubjob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/jobspecs"
)

// TestMain is also the "hub" that the job under test runs: this binary, called as the hub is called.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := probe(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	stack.Main(m)
}

// hostile has everything that a file of environment variables, a template or HCL could trip over.
const hostile = `postgres://hub:p"a\s's$ {{ x }} ${y}#z@127.0.0.1:1/nomadhub`

// TestJobHasWhatTheHubNeeds runs the hub's job with a program that asks for everything the hub needs, by the job's identity
// alone, and for things that it must not get. It is ready only if every answer is the right one.
func TestJobHasWhatTheHubNeeds(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	ports, err := stack.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // preparing twice is as good as once
		if err := Prepare(t.Context(), s, map[string]map[string]any{"postgres": {"dsn": hostile}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Vault.Write(t.Context(), "somebody-else/secret", map[string]any{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _, err := s.Nomad.Client.Jobs().Deregister(JobID, true, &nomad.WriteOptions{Namespace: Namespace})
		if err != nil {
			t.Error(err)
		}
	})
	err = Submit(t.Context(), s, Options{
		Binary: self, PublicPort: ports[0], ServersPort: ports[1], MetricsPort: ports[2], PublicURL: "http://hub.example.org",
		Config:            "login {\n  admin_users = [\"ada\"]\n}\n",
		NotebookVariables: map[string]string{"command": "/bin/\"quoted\"", "user": "nobody"},
		NotebookJobspec:   "# {{ not the hub's to evaluate }}",
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJobThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	s := stack.NewOwn(t, stack.Options{})
	if err := Prepare(t.Context(), s, map[string]map[string]any{"postgres": {"dsn": "x"}}); err != nil {
		t.Fatal(err)
	}
	ports, err := stack.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	err = Submit(t.Context(), s, Options{
		Binary: "/nonexistent/nomadhub", PublicPort: ports[0], ServersPort: ports[1], MetricsPort: ports[2],
	})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/nomadhub") {
		t.Errorf("the error does not name the missing program: %v", err)
	}
}

func TestJobspecsAreValid(t *testing.T) {
	t.Parallel()
	s := stack.New(t)
	program, err := stack.Binary(t.Context(), "nomad")
	if err != nil {
		t.Fatal(err)
	}
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string][]string{
		"hub.nomad.hcl":             {"-var=config=", "-var=namespace=default"},
		"notebook-docker.nomad.hcl": {"-var=image=registry.example.org/notebook:1"}, "notebook-podman.nomad.hcl": {"-var=image=registry.example.org/notebook:1"},
	}
	files, err := fs.Glob(jobspecs.FS, "*.nomad.hcl")
	if err != nil || len(files) < 5 {
		t.Fatalf("only %q, %v", files, err)
	}
	for _, file := range files {
		vars := values[file]
		cmd := exec.CommandContext(t.Context(), program, append(append([]string{"job", "validate"}, vars...), root+"/jobspecs/"+file)...)
		cmd.Env = []string{"NOMAD_ADDR=" + s.Nomad.Address, "NOMAD_TOKEN=" + s.Nomad.Token}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Job validation successful") || strings.Contains(string(out), "Warning") {
			t.Errorf("nomad job validate %s: %v\n%s", file, err, out)
		}
	}
}

// probe is the hub's stand-in: it reads the configuration with the hub's own code, checks all its rights, and then answers /ready.
func probe(args []string) error {
	c, err := config.Load(config.Default("/nonexistent"), args[1:], os.Environ())
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = errors.Join(
		c.Validate(), checkConfig(c),
		checkNomad(ctx, c), checkConsul(ctx, c), checkVault(ctx, c),
	)
	if err != nil {
		return err
	}
	return http.ListenAndServe(c.Listen.Metrics, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

func checkConfig(c config.Config) error {
	jobspec, err := os.ReadFile(c.Nomad.Jobspec)
	switch {
	case err != nil:
		return err
	case string(jobspec) != "# {{ not the hub's to evaluate }}":
		return fmt.Errorf("the notebook's jobspec is %q", jobspec)
	case c.Database.DSN != hostile:
		return fmt.Errorf("the database's address is %q", c.Database.DSN)
	case c.Nomad.Namespace != NotebookNamespace || c.Nomad.Variables["command"] != `/bin/"quoted"`:
		return fmt.Errorf("nomad: %+v", c.Nomad)
	case c.Login.AdminUsers[0] != "ada" || c.PublicURL != "http://hub.example.org":
		return errors.New("the operator's configuration did not arrive")
	case c.Listen.ServersURL != "http://"+c.Listen.Servers:
		return fmt.Errorf("servers_url is %q", c.Listen.ServersURL)
	}
	for _, kv := range os.Environ() { // a token in the environment cannot be renewed
		if name, _, _ := strings.Cut(kv, "="); name == "NOMAD_TOKEN" {
			return errors.New("the environment holds a Nomad token")
		}
	}
	return nil
}

func checkNomad(_ context.Context, c config.Config) error {
	token, err := os.ReadFile(c.Nomad.TokenFile)
	if err != nil {
		return err
	}
	client, err := nomad.NewClient(&nomad.Config{Address: c.Nomad.Address, SecretID: string(token)})
	if err != nil {
		return err
	}
	mine := &nomad.QueryOptions{Namespace: NotebookNamespace}
	_, _, errList := client.Jobs().List(mine)
	path := "nomad/jobs/notebook-1"
	_, _, errWrite := client.Variables().Create(&nomad.Variable{Namespace: NotebookNamespace, Path: path, Items: map[string]string{"a": "b"}}, nil)
	_, errDelete := client.Variables().Delete(path, &nomad.WriteOptions{Namespace: NotebookNamespace})
	_, _, errOther := client.Jobs().Info(JobID, &nomad.QueryOptions{Namespace: Namespace})
	_, errNodes := client.Nodes().ToggleEligibility("x", false, nil)
	_, _, errVariable := client.Variables().Read("nomad/jobs/other", mine)
	return errors.Join(
		allowed("list notebooks", errList), allowed("write a variable", errWrite), allowed("delete a variable", errDelete),
		refused("read the hub's own job", errOther), refused("change a node", errNodes), refused("read another job's variable", errVariable),
	)
}

func checkConsul(_ context.Context, c config.Config) error {
	token, err := os.ReadFile(c.Consul.TokenFile)
	if err != nil {
		return err
	}
	client, err := consul.NewClient(&consul.Config{Address: c.Consul.Address, Token: string(token)})
	if err != nil {
		return err
	}
	_, errPut := client.KV().Put(&consul.KVPair{Key: c.Consul.Prefix + "/routes/x"}, nil)
	_, _, errHealth := client.Health().Service("notebook-00", "", true, nil)
	_, errOther := client.KV().Put(&consul.KVPair{Key: "other/x"}, nil)
	errRegister := client.Agent().ServiceRegister(&consul.AgentServiceRegistration{Name: "notebook-00"})
	return errors.Join(
		allowed("write a binding", errPut), allowed("see notebooks", errHealth),
		refused("write another key", errOther), refused("register a service", errRegister),
	)
}

func checkVault(ctx context.Context, c config.Config) error {
	v := c.Secrets.Vault
	token, err := os.ReadFile(v.TokenFile)
	if err != nil {
		return err
	}
	client, err := vault.NewClient(&vault.Config{Address: v.Address})
	if err != nil {
		return err
	}
	client.SetToken(string(token))
	kv := client.KVv2(v.Mount)
	_, errKeys := kv.Get(ctx, v.Prefix+"/keys")
	_, errOther := kv.Get(ctx, "somebody-else/secret")
	_, errWrite := kv.Put(ctx, v.Prefix+"/keys", map[string]any{"a": "b"})
	return errors.Join(allowed("read the keys", errKeys), refused("read another secret", errOther), refused("change the keys", errWrite))
}

func allowed(what string, err error) error {
	if err != nil {
		return fmt.Errorf("the hub may not %s: %w", what, err)
	}
	return nil
}

func refused(what string, err error) error {
	if err == nil {
		return fmt.Errorf("the hub may %s", what)
	}
	if !strings.Contains(strings.ToLower(err.Error()), "denied") && !strings.Contains(err.Error(), "403") {
		return fmt.Errorf("whether the hub may %s is not known: %w", what, err)
	}
	return nil
}

// TestNomadPolicyIsTheProvenOne compares with the policy under which the scheduler's own tests run on a real Nomad, and which they show
// to be the least.
func TestNomadPolicyIsTheProvenOne(t *testing.T) {
	t.Parallel()
	proven, err := os.ReadFile("../../../scheduler/nomad/testdata/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	policies, err := readPolicies()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := rules(policies["nomad"]), rules(string(proven)); got != want {
		t.Errorf("policies/nomad-hub.hcl says\n%s\nand the scheduler's tests run with\n%s", got, want)
	}
	further, err := os.ReadFile("../../../terraform/modules/nomadhub/policies/nomad-hub-namespace.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if proven, err = os.ReadFile("../../../scheduler/nomad/testdata/policy-namespace.hcl"); err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("${further_namespace}", "notebooks-gpu", "${job_prefix}", "notebook-").Replace(string(further))
	if got, want := rules(filled), rules(string(proven)); got != want {
		t.Errorf("policies/nomad-hub-namespace.hcl says\n%s\nand the scheduler's tests run with\n%s", got, want)
	}
}

// rules is a policy without comments and layout.
func rules(policy string) string {
	var lines []string
	for line := range strings.Lines(policy) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
