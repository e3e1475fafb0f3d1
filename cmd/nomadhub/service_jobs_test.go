package main

import (
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/scheduler"
)

// TestServicesAreJobsOnAClusterOnly: the same block is a job where there is Nomad, and a child of the hub where there is none.
func TestServicesAreJobsOnAClusterOnly(t *testing.T) {
	t.Parallel()
	culler := config.Service{Name: "culler", Command: []string{"cull", "--timeout=9"}, User: "nobody", Directory: "/srv"}
	if s := serviceOf(culler, false); s.Job != nil || len(s.Command) != 2 {
		t.Errorf("without a cluster it is %+v", s)
	}
	for name, c := range map[string]struct {
		service config.Service
		want    *hub.ServiceJob
	}{
		"a command": {culler, &hub.ServiceJob{Workload: scheduler.Workload{Command: "cull", Args: []string{"--timeout=9"}, User: "nobody", WorkDir: "/srv"}}},
		"an image": {
			config.Service{Name: "news", Image: "news:1", Serves: true, Network: "bridge", Port: 8000, NodePool: "small", CPU: 50, Memory: 64, MemoryMax: 128},
			&hub.ServiceJob{
				Workload: scheduler.Workload{
					Driver: "docker", Image: "news:1", Placement: scheduler.Placement{NodePool: "small"}, Network: scheduler.Network{Mode: "bridge", Port: 8000},
				},
				Resources: scheduler.Resources{CPU: 50, MemoryMB: 64, MemoryMaxMB: 128},
			},
		},
		"an image of another driver": {
			config.Service{Name: "news", Image: "news:1", Driver: "podman"},
			&hub.ServiceJob{Workload: scheduler.Workload{Driver: "podman", Image: "news:1"}},
		},
		"somebody else's": {config.Service{Name: "far", URL: "http://10.0.0.5:9000"}, nil},
	} {
		if diff := cmp.Diff(c.want, serviceOf(c.service, true).Job); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTemplatesOfServicesAreToldApart, so that services are started anew when what they are made from changes.
func TestTemplatesOfServicesAreToldApart(t *testing.T) {
	t.Parallel()
	own := write(t, "own.nomad.hcl", `variable "path" {} `)
	seen := map[string]string{}
	for name, c := range map[string]config.Nomad{
		"the product's": {JobPrefix: "notebook-"},
		"a variable":    {JobPrefix: "notebook-", ServiceVariables: map[string]string{"path": "/bin"}},
		"another value": {JobPrefix: "notebook-", ServiceVariables: map[string]string{"path": "/usr/bin"}},
		"a file":        {JobPrefix: "notebook-", ServiceJobspec: own},
	} {
		_, template, err := openServiceScheduler(c, slog.New(slog.DiscardHandler))
		if err != nil || template == "" || seen[template] != "" {
			t.Errorf("the template of %s is that of %s: %v", name, seen[template], err)
		}
		seen[template] = name
	}
	if _, _, err := openServiceScheduler(config.Nomad{JobPrefix: "notebook-", ServiceVariables: map[string]string{"colour": "red"}}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a variable was taken that the jobspec does not declare")
	}
}
