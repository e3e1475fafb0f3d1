package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	vault "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"

	"github.com/nomadhub/nomadhub/internal/checker"
	"github.com/nomadhub/nomadhub/internal/pgtest"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
	"github.com/nomadhub/nomadhub/jobspecs"
)

// child is `nomadhub serve` as a process of the test, on the shared stack: with a database, jobs' names and keys of its own, and tokens that have the
// policies of terraform/modules/nomadhub and nothing beyond.
type child struct {
	*hubProcess
	apiClient

	shared *stack.Stack
	name   string // separates this hub from other tests' on the stack
	dir    string
	dsn    string

	// The checker's, if it looks; see [child.check].
	history   *checker.History
	homes     string
	program   string // by which notebooks are run, and the beginning of its arguments
	arguments []string
}

// setup is how a child runs servers.
type setup struct {
	notebook string         // what runs instead of Jupyter, in Python; see [standIn]
	driver   string         // of the job; "": the jobspec's, which is raw_exec
	more     string         // of the hub's configuration
	checked  *checker.Model // what the checker judges the hub by; nil: it does not look
}

// prepared says that the shared stack has the policies. Tests that run beside each other would make them twice.
var prepared struct {
	once sync.Once
	err  error
}

// newChild prepares the hub, which does not run yet.
func newChild(t *testing.T, binary, name string, how setup) *child {
	t.Helper()
	s := stack.New(t)
	prepared.once.Do(func() { prepared.err = hubjob.Prepare(t.Context(), s, nil) })
	if prepared.err != nil {
		t.Fatal(prepared.err)
	}
	dir := t.TempDir()
	c := &child{shared: s, name: name, dir: dir, dsn: pgtest.NewServer(t).URL("postgres")}
	c.hubProcess = &hubProcess{t: t, binary: binary, args: []string{"serve", "-config", filepath.Join(dir, "hub.hcl")}}
	c.makeTokens(t)
	if how.checked != nil {
		c.check(t, *how.checked)
	}
	c.configure(t, how)
	t.Cleanup(func() {
		if c.running() {
			c.signal(syscall.SIGTERM)
		}
		c.purge(t)
	})
	return c
}

// childAllocation makes a restarted hub go on with the lease that it had, as a task that Nomad restarts does.
const childAllocation = "NOMAD_ALLOC_ID=0198a0a0-0000-7000-8000-000000000001"

func (c *child) jobPrefix() string    { return "notebook-" + c.name + "-" }
func (c *child) consulPrefix() string { return "nomadhub/" + c.name }

// configure writes the hub's configuration; the next start reads it.
func (c *child) configure(t *testing.T, how setup) {
	t.Helper()
	_, account := accounts(t)
	args, err := json.Marshal(append(slices.Clone(c.arguments), "-c", how.notebook))
	if err != nil {
		t.Fatal(err)
	}
	jobspec, program, homeBase := "", cmp.Or(c.program, python(t)), c.homes
	if how.driver != "" {
		text, err := jobspecs.FS.ReadFile("notebook.nomad.hcl")
		if err != nil {
			t.Fatal(err)
		}
		c.write(t, "notebook.nomad.hcl", strings.Replace(string(text), `"raw_exec"`, strconv.Quote(how.driver), 1))
		// Such a driver shows the job the machine's own programs only.
		jobspec, program, homeBase = filepath.Join(c.dir, "notebook.nomad.hcl"), "/usr/bin/python3", ""
		args, err = json.Marshal([]string{"-c", how.notebook})
		if err != nil {
			t.Fatal(err)
		}
	}
	text := fmt.Sprintf(`
database {
  dsn = %q
}
secrets {
  vault {
    address    = %q
    token_file = "%[3]s/vault"
  }
}
nomad {
  address    = %[4]q
  token_file = "%[3]s/nomad"
  namespace  = %[5]q
  job_prefix = %[6]q
  jobspec    = %[14]q
  variables  = { command = %[7]q, args = %[8]q, user = %[9]q, home_base = %[15]q, cpu = "50", memory = "64" }
}
consul {
  address        = %[10]q
  token_file     = "%[3]s/consul"
  prefix         = %[11]q
  service_prefix = "notebook-%[12]s"
}
authenticator "dummy" "test" {}
login {
  allow_all   = true
  admin_users = ["ada"]
}
%[13]s`, c.dsn, c.shared.Vault.Address, c.dir, c.shared.Nomad.Address, hubjob.NotebookNamespace, c.jobPrefix(), program, args, account.Username,
		c.shared.Consul.Address, c.consulPrefix(), c.name, how.more, jobspec, homeBase)
	c.write(t, "hub.hcl", text)
}

func (c *child) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// makeTokens gives the hub what its workload identity would give it on Nomad.
func (c *child) makeTokens(t *testing.T) {
	t.Helper()
	s := c.shared
	n, _, err1 := s.Nomad.Client.ACLTokens().Create(&nomad.ACLToken{Name: c.name, Type: "client", Policies: []string{hubjob.JobID}}, nil)
	k, _, err2 := s.Consul.Client.ACL().TokenCreate(&consul.ACLToken{Description: c.name, Policies: []*consul.ACLLink{{Name: hubjob.JobID}}}, nil)
	v, err3 := s.Vault.Client.Auth().Token().CreateWithContext(t.Context(), &vault.TokenCreateRequest{Policies: []string{hubjob.JobID}})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	c.write(t, "nomad", n.SecretID)
	c.write(t, "consul", k.SecretID)
	c.write(t, "vault", v.Auth.ClientToken)
}

// begin starts the hub, logs ada in, and takes a token of hers for the REST API, made as an operator makes one.
func (c *child) begin(t *testing.T) {
	t.Helper()
	c.start(childAllocation)
	login(t, c.URL, "ada")
	out, err := exec.CommandContext(t.Context(), c.binary, "token", "-config", c.args[2], "-user", "ada").Output()
	if err != nil {
		t.Fatalf("nomadhub token: %v", err)
	}
	c.apiClient = apiClient{base: c.URL, token: strings.TrimSpace(string(out))}
	if c.history != nil {
		c.watched(t)
	}
}

// again starts a hub that has ended, with another configuration or environment.
func (c *child) again(extra ...string) {
	c.t.Helper()
	if c.running() {
		c.signal(syscall.SIGTERM)
	}
	c.start(append([]string{childAllocation}, extra...)...)
}

func (c *child) jobs() ([]*nomad.JobListStub, error) {
	jobs, _, err := c.shared.Nomad.Client.Jobs().List(&nomad.QueryOptions{Namespace: hubjob.NotebookNamespace, Prefix: c.jobPrefix()})
	return jobs, err
}

// purge removes what a failed test has left on the stack.
func (c *child) purge(t *testing.T) {
	jobs, err := c.jobs()
	if err != nil {
		t.Error(err)
	}
	for _, job := range jobs {
		if _, _, err := c.shared.Nomad.Client.Jobs().Deregister(job.ID, true, &nomad.WriteOptions{Namespace: hubjob.NotebookNamespace}); err != nil {
			t.Error(err)
		}
	}
}

// oneJob returns the server's job: the only one, registered once, with one allocation that runs.
func (c *child) oneJob(t *testing.T, serverID string) *nomad.Job {
	t.Helper()
	jobs, err := c.jobs()
	if err != nil || len(jobs) != 1 || jobs[0].ID != c.jobPrefix()+serverID {
		t.Fatalf("there is not exactly the job of server %s: %d jobs, %v", serverID, len(jobs), err)
	}
	job, _, err := c.shared.Nomad.Client.Jobs().Info(jobs[0].ID, notebooks())
	if err != nil {
		t.Fatal(err)
	}
	allocs, _, err := c.shared.Nomad.Client.Jobs().Allocations(jobs[0].ID, true, notebooks())
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusPending || a.ClientStatus == nomad.AllocClientStatusRunning {
			live++
		}
	}
	if live != 1 || job.Stop != nil && *job.Stop {
		t.Errorf("the job has %d live allocations, stopped: %v", live, job.Stop)
	}
	return job
}

// nothingLeft waits until no trace of any server is left but the marks that tell other replicas of a withdrawn route.
func (c *child) nothingLeft(t *testing.T) {
	t.Helper()
	await(t, "nothing is left of any server", patience, func() error {
		return errors.Join(c.leftInNomad(), c.leftInConsul(), c.leftInDatabase(t))
	})
}

func (c *child) leftInNomad() error {
	jobs, err := c.jobs()
	if err != nil || len(jobs) > 0 {
		return fmt.Errorf("%d jobs are left: %w", len(jobs), err)
	}
	variables, _, err := c.shared.Nomad.Client.Variables().PrefixList("nomad/jobs/"+c.jobPrefix(), notebooks())
	if err != nil || len(variables) > 0 {
		return fmt.Errorf("%d variables are left: %w", len(variables), err)
	}
	return nil
}

func (c *child) leftInConsul() error {
	pairs, _, err := c.shared.Consul.Client.KV().List(c.consulPrefix()+"/bindings/", nil)
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		if pair.Flags == 0 {
			return fmt.Errorf("the binding %s is not withdrawn", pair.Key)
		}
	}
	services, _, err := c.shared.Consul.Client.Catalog().Services(nil)
	if err != nil {
		return err
	}
	for name := range services {
		if strings.HasPrefix(name, "notebook-"+c.name) {
			return fmt.Errorf("the service %s is registered", name)
		}
	}
	return nil
}

func (c *child) leftInDatabase(t *testing.T) error {
	for _, table := range []string{"tokens", "oauth_clients"} {
		if n := c.count(t, "SELECT count(*) FROM "+table+" WHERE server_id IS NOT NULL"); n > 0 {
			return fmt.Errorf("%d rows of servers are left in %s", n, table)
		}
	}
	if n := c.count(t, "SELECT count(*) FROM servers WHERE state <> 'stopped'"); n > 0 {
		return fmt.Errorf("%d servers are not stopped", n)
	}
	return nil
}

// count asks the hub's database.
func (c *child) count(t *testing.T, query string) (n int) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), c.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(t.Context()) }()
	if err := db.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// reachable sees that the hub's proxy leads to this user's server, and that the token which the server was given is good at the hub.
func (c *child) reachable(t *testing.T, user string) {
	t.Helper()
	if c.history != nil {
		look := c.history.Look("reachable")
		run, err := whoAnswers(t.Context(), c.URL, user)
		if err != nil {
			t.Fatalf("the server of %s does not say who it is: %v", user, err)
		}
		look.SawVisit(checker.Server{User: user}, run)
	}
	var said struct{ User, Token string }
	code, err := getJSON(t, c.URL+userPath(user)+"whoami", "", &said)
	if err != nil || code != http.StatusOK || said.User != user {
		t.Fatalf("the server of %s answers %d, as %q's: %v", user, code, said.User, err)
	}
	var owner struct{ Name string }
	code, err = getJSON(t, c.Servers+"/hub/api/user", said.Token, &owner)
	if err != nil || code != http.StatusOK || owner.Name != user {
		t.Fatalf("with the token of %s's server the hub answers %d, for %q: %v", user, code, owner.Name, err)
	}
}

// python is the interpreter that stand-ins run.
func python(t testing.TB) string {
	t.Helper()
	return filepath.Join(filepath.Dir(jupyter(t, "hub5")), "python3")
}

// standIn is a server that is there at once: it answers everything with its user's name and its token, which only a test wants.
const standIn = `
import http.server, json, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"user": os.environ["JUPYTERHUB_USER"], "token": os.environ["JUPYTERHUB_API_TOKEN"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Checker", " ".join(os.environ[k] for k in ("NOMAD_META_nomadhub_server", "NOMAD_META_nomadhub_generation", "NOMAD_ALLOC_ID")))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
url = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer((url.hostname, url.port), Handler).serve_forever()
`

// version of a job counts its registrations from zero.
func version(job *nomad.Job) string { return strconv.FormatUint(*job.Version, 10) }
