package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/jobspecs"
)

// keepsWarm runs notebooks in containers, and has machines keep the profile's image.
const keepsWarm = `
nomad {
  warm_images = true
  jobspec     = %q
  variables   = { image = %[2]q, command = "/usr/bin/python3", args = %[3]q, user = "65534", memory = "96" }
}
profile "lab" {
  driver    = "docker"
  image     = %[2]q
  node_pool = "warm"

  option "greeting" {
    type    = "text"
    pattern = "[a-z]*"
  }
}
`

// testWarmImages has a real engine pull the image of a profile before anybody needs it. Then the registry is away, and a start needs it no more.
func (l *notebookLife) testWarmImages(t *testing.T) {
	engine := dockerd.New(t)
	image := dockerd.Image{Name: "nomadhub-test/life", Layer: machinePython(t), Config: dockerd.Config{
		Env: []string{"PATH=/usr/bin:/bin"}, User: "65534", WorkingDir: "/tmp",
	}}
	registry, err := dockerd.NewRegistry(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	served := httptest.NewServer(registry)
	defer served.Close()
	name := strings.TrimPrefix(served.URL, "http://") + "/" + image.Name + ":" + dockerd.Tag
	if has, err := engine.HasImage(t.Context(), name); err != nil || has {
		t.Fatalf("the engine has the image at first: %v, %v", has, err)
	}

	l.node(t, stack.NodeOptions{Name: "warm", Pool: "warm", Drivers: stack.Drivers{Docker: engine.Socket}})
	jobspec, err := fs.ReadFile(jobspecs.FS, "notebook-docker.nomad.hcl")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "notebook-docker.nomad.hcl")
	if err := os.WriteFile(file, jobspec, 0o600); err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal([]string{"-c", standIn})
	if err != nil {
		t.Fatal(err)
	}
	c := l.hub(t, "warm", setup{notebook: standIn}, fmt.Sprintf(keepsWarm, file, name, args))

	ada := c.person(t, "ada")
	ada.sees(t, "spawn", "Its image is on every machine.")
	if has, err := engine.HasImage(t.Context(), name); err != nil || !has {
		t.Errorf("the engine has the image: %v, %v", has, err)
	}
	served.Close()
	s := c.up(t, "ada/server", "")
	for _, e := range c.progress(t, "ada") {
		if strings.Contains(strings.ToLower(e.Message), "image") {
			t.Errorf("the start says %q", e.Message)
		}
	}
	alloc, _, err := c.shared.Nomad.Client.Allocations().Info(s.State.Instance, notebooks())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range alloc.TaskStates["notebook"].Events {
		if strings.Contains(e.DisplayMessage, "ownloading") {
			t.Errorf("the machine says %q", e.DisplayMessage)
		}
	}
	var said struct{ User string }
	if code, err := getJSON(t, c.URL+userPath("ada")+"whoami", "", &said); err != nil || code != http.StatusOK || said.User != "ada" {
		t.Errorf("the server answers %d as %q's, %v", code, said.User, err)
	}
	c.down(t, "ada/server")

	// The container that keeps the image goes on when the last notebook has ended.
	left, err := engine.Containers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, container := range left {
		if container.State == "running" {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("after the stop these containers are there: %+v", left)
	}
}
