package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/e2e/browser"
	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/jobspecs"
)

// TestDockerFromLoginToStop is the main job with notebooks in containers: an image that behaves as the public Jupyter ones is pulled from a registry
// by a real engine, and what a person does in JupyterLab happens in a container that ends with the server.
func TestDockerFromLoginToStop(t *testing.T) {
	t.Parallel()
	engine := dockerd.New(t)
	b := browser.New(t)
	c := newClusterWith(t, inContainers(t, engine))
	service := checkServiceInContainer(t, c, engine)
	p := b.Page(t)
	c.loginAtProvider(t, p, "ada")
	p.WaitVisible("#mine")
	p.SetPatience(slowly)

	p.Open(c.URL + "/hub/home")
	p.Click("#start")
	p.WaitURL("the page that shows the start", func(u string) bool { return strings.Contains(u, "/hub/spawn-pending/ada") })
	p.WaitTextIn("[data-steps]", "ownloading image")
	p.Screenshot("docker-pull")
	p.WaitURL("the server", func(u string) bool { return strings.HasPrefix(u, c.URL+userPath("ada")) })

	p.Open(c.URL + userPath("ada") + "lab")
	for code, want := range map[string]string{
		"1+1":                         "2",
		"import os; os.getuid()":      "1000",
		"import os; os.getcwd()":      "'/home/jovyan'",
		"open('/proc/1/comm').read()": "'docker-init\\n'", // no process of the machine is to be seen
	} {
		if got := strings.TrimSpace(p.LabRunCell(code)); got != want {
			t.Errorf("%s in a notebook is %q, want %q", code, got, want)
		}
	}
	p.Screenshot("docker-lab")
	checkContainer(t, engine, service)

	p.Open(c.URL + "/hub/home")
	p.Click("#stop")
	p.WaitVisible("#start")
	await(t, "the notebook's container is gone", patience, func() error {
		left, err := engine.Containers(t.Context())
		if err == nil && (len(left) != 1 || left[0].ID != service) {
			err = fmt.Errorf("%+v", left)
		}
		return err
	})
}

// inContainers runs notebooks with the product's jobspec for Docker.
func inContainers(t *testing.T, engine *dockerd.Engine) runsNotebooks {
	t.Helper()
	env, err := pyenv.Ensure(t.Context(), pyenv.Options{Name: "hub5", Log: os.Stderr})
	if err != nil {
		browser.Missing(t, err)
	}
	image, err := dockerd.NotebookImage(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	jobspec, err := fs.ReadFile(jobspecs.FS, "notebook-docker.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	beside := image // by another name, so that a person is still the first for whom the notebook's is pulled
	beside.Name += "-service"
	registry := dockerd.Serve(t, image, beside)
	name := registry + "/" + image.Name + ":" + dockerd.Tag
	return runsNotebooks{
		drivers: stack.Drivers{Docker: engine.Socket}, jobspec: string(jobspec),
		config: fmt.Sprintf(`
service "who" {
  image       = %q
  command     = ["python3", "-c", %q]
  environment = { COLOUR = "green" }
  serves      = true
  port        = 8000
  cpu         = 50
  memory      = 64
}
`, registry+"/"+beside.Name+":"+dockerd.Tag, whoServes),
		variables: func(*cluster) map[string]string {
			return map[string]string{"image": name, "init": "true", "memory": "768"}
		},
		serversURL: func(port int) string { return "http://" + engine.Expose(t, port) },
	}
}

// checkServiceInContainer visits a service of the hub's that runs in a container, and asks the hub from there. It returns the container's ID.
func checkServiceInContainer(t *testing.T, c *cluster, engine *dockerd.Engine) (id string) {
	t.Helper()
	s := serviceAt(t, c.URL, "answers through the proxy", func(s serviceAnswer) bool { return s.Name == "who" })
	if s.Path != "/services/who/x?y" || s.Colour != "green" || s.PID > 10 { // hardly any process is in there
		t.Errorf("the service was told %+v", s)
	}
	all, err := engine.Containers(t.Context())
	if err != nil || len(all) != 1 || all[0].State != "running" {
		t.Fatalf("one container runs: %+v, %v", all, err)
	}
	return all[0].ID
}

// checkContainer looks at the notebook's container, which is not the other one, as the engine sees it.
func checkContainer(t *testing.T, engine *dockerd.Engine, other string) {
	t.Helper()
	all, err := engine.Containers(t.Context())
	all = slices.DeleteFunc(all, func(c dockerd.Container) bool { return c.ID == other })
	if err != nil || len(all) != 1 || all[0].State != "running" {
		t.Fatalf("one container of a notebook runs: %+v, %v", all, err)
	}
	var c struct {
		HostConfig struct {
			Memory      int64
			PidsLimit   int64
			Privileged  bool
			CapDrop     []string
			SecurityOpt []string
			NetworkMode string
		}
	}
	if err := engine.Inspect(t.Context(), all[0].ID, &c); err != nil {
		t.Fatal(err)
	}
	h := c.HostConfig
	if h.Memory != 768<<20 || h.PidsLimit != 1024 || h.Privileged || h.NetworkMode == "host" ||
		strings.Join(h.CapDrop, " ") != "ALL" || strings.Join(h.SecurityOpt, " ") != "no-new-privileges" {
		t.Errorf("the container's limits and rights: %+v", h)
	}
}
