package nomad

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

var update = flag.Bool("update", false, "rewrite the golden files; those of Nomad's own answers need a real Nomad")

// parsedScheduler returns a scheduler that has the product's jobspec as a real Nomad parsed it.
func parsedScheduler(t testing.TB, change func(*Options)) *Scheduler {
	t.Helper()
	client, err := api.NewClient(&api.Config{Address: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Client: client, Namespace: "notebooks", Jobspec: "parsed already"}
	if change != nil {
		change(&options)
	}
	s, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := os.ReadFile(filepath.Join("testdata", "notebook.parsed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var job api.Job
	if err := json.Unmarshal(parsed, &job); err != nil {
		t.Fatal(err)
	}
	(*s.templates.Load())[""].parsed.Store(&job)
	return s
}

func fullSpec() scheduler.Spec {
	return scheduler.Spec{
		ID: "a1b2c3", Generation: 7,
		Labels:      map[string]string{"user": "ada ${attr.kernel.name} {{ key \"x\" }}", "server": "\"lab\"\n"},
		Env:         map[string]string{"JUPYTERHUB_USER": "ada ${NOMAD_ALLOC_ID}", "EVIL": `"; {{ env "PATH" }}`},
		Secrets:     map[string]string{"JUPYTERHUB_API_TOKEN": "s3cr3t"},
		URLVariable: "JUPYTERHUB_SERVICE_URL", URLPath: "/user/ada%40example/lab/", HealthPath: "/user/ada%40example/lab/api",
		Service:   "notebook-042",
		Resources: scheduler.Resources{CPU: 1500, MemoryMB: 2048, MemoryMaxMB: 4096},
	}
}

// TestGoldenJob holds the whole job that comes out of the product's jobspec and a Spec: whatever a user typed must be in leaf fields
// of metadata alone, and the secret nowhere.
func TestGoldenJob(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(*Options)
		spec   func(*scheduler.Spec)
	}{
		"full": {},
		"least": {spec: func(s *scheduler.Spec) {
			*s = scheduler.Spec{ID: "a1b2c3", Generation: 1}
		}},
		"bridge": {change: func(o *Options) {
			o.BindAddress, o.JobPrefix, o.StopTimeout, o.Region = "0.0.0.0", "lab-", 90*time.Second, "east"
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, spec := parsedScheduler(t, c.change), fullSpec()
			if c.spec != nil {
				c.spec(&spec)
			}
			job, err := s.compose(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, "job-"+name+".golden.json", job)
		})
	}
}

func compareGolden(t *testing.T, name string, value any) {
	t.Helper()
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

func TestFillRefusesJobspecsItCannotServe(t *testing.T) {
	t.Parallel()
	spoil := map[string]func(*api.Job){
		"two groups":    func(j *api.Job) { j.TaskGroups = append(j.TaskGroups, j.TaskGroups[0]) },
		"no port":       func(j *api.Job) { j.TaskGroups[0].Networks = nil },
		"no task":       func(j *api.Job) { j.TaskGroups[0].Tasks = nil },
		"parameterized": func(j *api.Job) { j.ParameterizedJob = &api.ParameterizedJobConfig{} },
	}
	for name, change := range spoil {
		s := parsedScheduler(t, nil)
		job, err := s.template(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		change(job)
		if err := s.fill(job, fullSpec()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestResources(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		own  api.Resources
		ask  scheduler.Resources
		want api.Resources
	}{
		"nothing asked keeps the operator's": {
			own: api.Resources{CPU: new(100), MemoryMB: new(512)}, want: api.Resources{CPU: new(100), MemoryMB: new(512)},
		},
		"a share of MHz replaces whole cores": {
			own: api.Resources{Cores: new(2)}, ask: scheduler.Resources{CPU: 300}, want: api.Resources{CPU: new(300)},
		},
		"the operator's limit is raised to what is reserved": {
			own:  api.Resources{MemoryMB: new(512), MemoryMaxMB: new(1024)},
			ask:  scheduler.Resources{MemoryMB: 2048},
			want: api.Resources{MemoryMB: new(2048), MemoryMaxMB: new(2048)},
		},
		"a limit of none stays none": {
			own:  api.Resources{MemoryMB: new(512), MemoryMaxMB: new(0)},
			ask:  scheduler.Resources{MemoryMB: 2048},
			want: api.Resources{MemoryMB: new(2048), MemoryMaxMB: new(0)},
		},
	}
	for name, c := range cases {
		task := &api.Task{Resources: &c.own}
		setResources(task, c.ask)
		if diff := cmp.Diff(c.want, *task.Resources); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVariableFile(t *testing.T) {
	t.Parallel()
	got := variableFile(map[string]string{
		"args": `["--debug", "${attr.kernel.name}"]`, "cpu": "500", "path": `C:\a "b" ${x} %{y}` + "\n<", "odd": "[no json",
	})
	want := `args = ["--debug", "$${attr.kernel.name}"]
cpu = "500"
odd = "[no json"
path = "C:\\a \"b\" $${x} %%{y}\n<"
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string]Options{
		"no client":              {Jobspec: "x"},
		"no jobspec":             {Client: client, Jobspec: " \n"},
		"an undeclared variable": {Client: client, Jobspec: "variable \"b\" {}", Variables: map[string]string{"a": "x"}},
		"a prefix with a slash":  {Client: client, Jobspec: "x", JobPrefix: "a/b"},
		"less than no MHz":       {Client: client, Jobspec: "x", MHzPerCore: -1},
		"a bind address":         {Client: client, Jobspec: "x", BindAddress: "http://0.0.0.0"},
	} {
		if _, err := New(options); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestBindAddress: where a server listens follows from the network that the jobspec gives it.
func TestBindAddress(t *testing.T) {
	t.Parallel()
	host := "${NOMAD_IP_http}"
	cases := map[string]struct {
		mode   string         // of the group's network
		config map[string]any // of the task, as it comes from JSON
		want   string
	}{
		"the machine's network":      {"", nil, host},
		"the same, by name":          {"host", map[string]any{"command": "x"}, host},
		"Nomad's bridge":             {"bridge", nil, "0.0.0.0"},
		"a network of the operator":  {"cni/notebooks", nil, "0.0.0.0"},
		"a published port":           {"", map[string]any{"ports": []any{"debug", "http"}}, "0.0.0.0"},
		"a published port, by name":  {"host", map[string]any{"ports": []any{"http"}, "network_mode": "notebooks"}, "0.0.0.0"},
		"another port is published":  {"", map[string]any{"ports": []any{"debug"}}, host},
		"on the machine's by driver": {"", map[string]any{"ports": []any{"http"}, "network_mode": "host"}, host},
	}
	for name, c := range cases {
		group := &api.TaskGroup{Networks: []*api.NetworkResource{{Mode: c.mode}}}
		if got := bindAddress(group, &api.Task{Config: c.config}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
