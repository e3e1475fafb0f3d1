package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

// TestClusterFromLoginToLogout is the main job on real Nomad, Consul, Vault and Postgres, with a login at an OpenID Connect provider.
func TestClusterFromLoginToLogout(t *testing.T) {
	t.Parallel()
	b := browser.New(t)
	c := newCluster(t)

	ada := b.Page(t)
	c.loginAtProvider(t, ada, "ada")
	ada.WaitVisible("#mine")
	walk(t, ada, c.URL, "ada")

	ben := b.Page(t)
	c.loginAtProvider(t, ben, "ben")
	ben.WaitVisible("#mine")
	if ben.Has(`a[href="/hub/admin"]`) {
		t.Error("ben is no administrator, and is offered the administration")
	}
	watchStart(t, ben, c.URL, "ben")
	c.checkTokenIsHidden(t, ben)

	eve := b.Page(t)
	c.loginAtProvider(t, eve, "eve")
	eve.WaitVisible(".login_error")
	said := eve.Text(".login_error")
	if !strings.HasSuffix(said, ".") || !strings.Contains(said, "may not use this hub") {
		t.Errorf("eve is refused with: %q", said)
	}
	eve.Open(c.URL + "/hub/home")
	if eve.Has("#mine") {
		t.Error("eve was refused and has a home page")
	}
}

// watchStart starts a server and sees on the page what happens while it happens: the server has a place on a machine before it answers.
func watchStart(t *testing.T, p *browser.Page, base, user string) {
	t.Helper()
	p.SetPatience(slowly)
	p.Open(base + "/hub/home")
	p.Click("#start")
	p.WaitURL("the page that shows the start", func(u string) bool { return strings.Contains(u, "/hub/spawn-pending/"+user) })
	p.WaitTextIn("[data-steps]", "has a place")
	steps := p.Texts("[data-steps] li span")
	if len(steps) < 2 || slices.ContainsFunc(steps, func(s string) bool { return strings.Contains(s, "ready") }) {
		t.Errorf("while the server starts, the page says %q", steps)
	}
	if value := browser.Eval[float64](p, `document.querySelector("progress").value`); value <= 0 || value >= 100 {
		t.Errorf("while the server starts, the bar stands at %v", value)
	}
	p.Screenshot("starting-" + user)
	p.WaitURL("the server of "+user, func(u string) bool { return strings.HasPrefix(u, base+userPath(user)) })
}

// checkTokenIsHidden reads the server's token where the server itself has it, and finds it in nothing that readers of jobs, of Consul or of logs see.
func (c *cluster) checkTokenIsHidden(t *testing.T, p *browser.Page) {
	t.Helper()
	p.Open(c.URL + "/user/ben/lab")
	id, token, _ := strings.Cut(strings.TrimSpace(p.LabRunCell(`import os; print(os.environ["NOMAD_JOB_ID"], os.environ["JUPYTERHUB_API_TOKEN"])`)), " ")
	if len(token) < 32 {
		t.Fatalf("the notebook's job is %q and its token %q", id, token)
	}
	variable, _, err := c.Nomad.Client.Variables().Read("nomad/jobs/"+id, notebooks())
	if err != nil || variable.Items["JUPYTERHUB_API_TOKEN"] != token {
		t.Fatalf("the variable of the job does not hold the token, so this test looks for the wrong thing: %v", err)
	}
	seen := c.everythingAbout(t, id)
	if !strings.Contains(seen["/v1/job/"+id], id) || !strings.Contains(seen["log"], "server ready") {
		t.Fatalf("what was read is not what was meant:\n%s", seen)
	}
	for what, text := range seen {
		if strings.Contains(text, token) {
			t.Errorf("%s shows the server's token", what)
		}
	}
}

func notebooks() *nomad.QueryOptions { return &nomad.QueryOptions{Namespace: hubjob.NotebookNamespace} }

// everythingAbout is what can be read of a notebook's job without the right to read its variable.
func (c *cluster) everythingAbout(t *testing.T, jobID string) map[string]string {
	t.Helper()
	allocs, _, err := c.Nomad.Client.Jobs().Allocations(jobID, true, notebooks())
	if err != nil || len(allocs) != 1 {
		t.Fatalf("allocations of %s: %v, %v", jobID, allocs, err)
	}
	seen := map[string]string{"log": hubjob.LogTail(t.Context(), c.Stack, 10000)}
	for _, path := range []string{
		"/v1/job/" + jobID, "/v1/job/" + jobID + "/versions", "/v1/job/" + jobID + "/evaluations", "/v1/allocation/" + allocs[0].ID,
	} {
		var answer json.RawMessage
		if _, err := c.Nomad.Client.Raw().Query(path, &answer, notebooks()); err != nil {
			t.Fatal(err)
		}
		seen[path] = string(answer)
	}
	pairs, _, err := c.Consul.Client.KV().List("", nil)
	if err != nil || len(pairs) == 0 {
		t.Fatalf("keys in Consul: %v, %v", pairs, err)
	}
	for _, pair := range pairs {
		seen["consul key "+pair.Key] = string(pair.Value)
	}
	instances, err := c.Consul.Client.Agent().ServicesWithFilterOpts("", &consul.QueryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(instances)
	if err != nil {
		t.Fatal(err)
	}
	seen["consul services"] = string(text)
	return seen
}
