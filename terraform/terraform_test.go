// Package terraform_test checks the Terraform modules: their form always, the rest where Terraform's providers can be had. They come
// from Terraform's own installation methods: a registry, or a mirror that the file in TF_CLI_CONFIG_FILE names.
package terraform_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/stack"
)

func TestMain(m *testing.M) { stack.Main(m) }

func TestFilesAreFormatted(t *testing.T) {
	t.Parallel()
	w := work{t: t, dir: "."}
	if out, err := w.terraform("fmt", "-check", "-diff", "-recursive"); err != nil {
		t.Errorf("terraform fmt: %v\n%s", err, out)
	}
}

// TestVariablesAreDescribed needs no provider, so it holds also where the next tests are skipped.
func TestVariablesAreDescribed(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".tf" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for block := range strings.SplitSeq(string(text), "\n}\n") {
			block = strings.TrimSpace(block)
			if !strings.HasPrefix(block, "variable ") && !strings.HasPrefix(block, "output ") {
				continue
			}
			seen++
			if !strings.Contains(block, "description = \"") {
				t.Errorf("%s: no description:\n%s", name, block)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("only %d variables and outputs were looked at", seen)
	}
}

// TestModulesAreValid knows the providers' arguments from terraform/schemas, so that it holds on every machine with Terraform.
// TestApplyPlanDestroy asks the real ones.
func TestModulesAreValid(t *testing.T) {
	t.Parallel()
	config := schemas(t)
	for _, test := range []struct{ name, old, new, complaint string }{
		{"as it is", "", "", ""},
		{"an unknown argument", "purge_on_destroy", "purge_always", "purge_always"},
		{"a wrong reference", "consul_acl_role.hub.name", "consul_acl_role.hubs.name", "consul_acl_role"},
		{"a missing argument", "rules = templatefile", "description2 = templatefile", "rules"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := copied(t)
			w.env = []string{"TF_CLI_CONFIG_FILE=" + config}
			w.change(filepath.Join("..", "..", "modules", "nomadhub"), test.old, test.new)
			if out, err := w.terraform("get"); err != nil {
				t.Fatalf("terraform get: %v\n%s", err, out)
			}
			out, err := w.terraform("validate", "-no-color")
			if test.complaint == "" && err != nil {
				t.Errorf("terraform validate: %v\n%s", err, out)
			}
			if test.complaint != "" && (err == nil || !strings.Contains(out, test.complaint)) {
				t.Errorf("terraform validate does not complain of %s: %v\n%s", test.complaint, err, out)
			}
		})
	}
}

// schemas builds the stand-ins for the providers, and returns a configuration of Terraform that uses them.
func schemas(t *testing.T) (config string) {
	t.Helper()
	needTerraform(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "schemas")
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=readonly", "-o", program, ".")
	build.Dir = "schemas"
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build terraform/schemas: %v\n%s", err, out)
	}
	text := "provider_installation {\n  dev_overrides {\n"
	for _, name := range []string{"nomad", "consul", "vault"} {
		if err := os.Symlink(program, filepath.Join(dir, "terraform-provider-"+name)); err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("    \"hashicorp/%s\" = %q\n", name, dir)
	}
	config = filepath.Join(dir, "terraform.rc")
	if err := os.WriteFile(config, []byte(text+"  }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// TestApplyPlanDestroy is the operator's road on a real stack: apply brings up a hub that is ready, a second plan finds nothing to
// do, and destroy leaves nothing.
func TestApplyPlanDestroy(t *testing.T) {
	t.Parallel()
	w := installed(t)
	if out, err := w.terraform("validate"); err != nil {
		t.Fatalf("terraform validate: %v\n%s", err, out)
	}
	s := stack.NewOwn(t, stack.Options{Postgres: true})
	ports, err := stack.FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"NOMAD_ADDR=" + s.Nomad.Address, "NOMAD_TOKEN=" + s.Nomad.Token,
		"CONSUL_HTTP_ADDR=" + s.Consul.Address, "CONSUL_HTTP_TOKEN=" + s.Consul.Token,
		"VAULT_ADDR=" + s.Vault.Address, "VAULT_TOKEN=" + s.Vault.Token,
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	w.variables(map[string]any{
		"binary": buildHub(t, s.Dir), "user": hubAccount(),
		"database_url": s.Postgres.DSN, "signing_key": base64.StdEncoding.EncodeToString(key),
		"consul_address": s.Consul.Address, "vault_address": s.Vault.Address,
		"public_port": ports[0], "servers_port": ports[1], "metrics_port": ports[2],
	})

	if out, err := w.terraform("apply", "-auto-approve", "-input=false", "-no-color"); err != nil {
		t.Fatalf("terraform apply: %v\n%s", err, out)
	}
	awaitReady(t, fmt.Sprintf("http://127.0.0.1:%d/ready", ports[2]))
	state, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{s.Postgres.DSN, base64.StdEncoding.EncodeToString(key), s.Nomad.Token, s.Consul.Token, s.Vault.Token} {
		if strings.Contains(string(state), secret) {
			t.Error("a secret is in Terraform's state")
		}
	}
	if out, err := w.terraform("plan", "-detailed-exitcode", "-input=false", "-no-color"); err != nil {
		t.Errorf("a second plan is not empty: %v\n%s", err, out)
	}
	if out, err := w.terraform("destroy", "-auto-approve", "-input=false", "-no-color"); err != nil {
		t.Fatalf("terraform destroy: %v\n%s", err, out)
	}
	jobs, _, err := s.Nomad.Client.Jobs().List(&nomad.QueryOptions{Namespace: nomad.AllNamespacesNamespace})
	if err != nil || len(jobs) != 0 {
		t.Errorf("jobs after destroy: %v, %v", jobs, err)
	}
	spaces, _, err := s.Nomad.Client.Namespaces().List(nil)
	if err != nil || len(spaces) != 1 {
		t.Errorf("namespaces after destroy: %v, %v", spaces, err)
	}
}

// work is a copy of the example in which Terraform runs.
type work struct {
	t   *testing.T
	dir string
	env []string
}

// copied copies modules, examples and jobspecs to where Terraform may write.
func copied(t *testing.T) *work {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"terraform/modules", "terraform/examples", "jobspecs"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", part))); err != nil {
			t.Fatal(err)
		}
	}
	return &work{t: t, dir: filepath.Join(dir, "terraform", "examples", "loopback")}
}

// installed is a copy for which Terraform has installed its real providers. It skips the test where that is impossible.
func installed(t *testing.T) *work {
	t.Helper()
	w := copied(t)
	out, err := w.terraform("init", "-input=false", "-no-color")
	switch {
	case err == nil:
		return w
	case strings.Contains(out, "Failed to query available provider packages"), strings.Contains(out, "Failed to install provider"):
		t.Skip("Terraform's providers for Nomad, Consul and Vault cannot be had on this machine; name a mirror of them in TF_CLI_CONFIG_FILE")
	default:
		t.Fatalf("terraform init: %v\n%s", err, out)
	}
	return nil
}

// change replaces a text in the one file of a folder that holds it.
func (w *work) change(dir, old, text string) {
	w.t.Helper()
	if old == "" {
		return
	}
	files, err := filepath.Glob(filepath.Join(w.dir, dir, "*.tf"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		if changed := strings.Replace(string(content), old, text, 1); changed != string(content) {
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("no file in %s holds %q", dir, old)
}

func needTerraform(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("terraform")
	if err != nil {
		t.Skip("terraform is not on PATH")
	}
	return path
}

const terraformTimeout = 5 * time.Minute

func (w *work) terraform(args ...string) (string, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), terraformTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, needTerraform(w.t), args...)
	cmd.Dir = w.dir
	cmd.Env = append(append(os.Environ(), "CHECKPOINT_DISABLE=1"), w.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *work) variables(values map[string]any) {
	w.t.Helper()
	text, err := json.Marshal(values)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "terraform.tfvars.json"), text, 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// buildHub builds the hub to where every account can run it.
func buildHub(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "nomadhub")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../cmd/nomadhub").CombinedOutput(); err != nil {
		t.Fatalf("build the hub: %v\n%s", err, out)
	}
	return path
}

// hubAccount is the account that the hub runs as: only root can choose.
func hubAccount() string {
	if os.Geteuid() == 0 {
		return "daemon"
	}
	return ""
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := http.Get(url)
		if err == nil {
			err = errors.Join(res.Body.Close(), statusError(res))
		}
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the hub is not ready: %v", err)
		}
	}
}

func statusError(res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("%s answers %s", res.Request.URL, res.Status)
}
