package profile

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/nomadhub/nomadhub/scheduler"
)

// decode reads a configuration that has nothing but profiles.
func decode(text string) (*Set, error) {
	file, diags := hclsyntax.ParseConfig([]byte(text), "hub.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	var blocks []Block
	var defaults []hcl.Body
	for _, b := range file.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "profile" {
			blocks = append(blocks, Block{Name: b.Labels[0], Body: b.Body})
		} else {
			defaults = append(defaults, b.Body)
		}
	}
	return Decode(blocks, defaults, loading(map[string]string{"TAG": "2026-11"}))
}

// loading is what the configuration offers while it is read.
func loading(env map[string]string) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: map[string]function.Function{"env": function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}}, Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if v, ok := env[args[0].AsString()]; ok {
				return cty.StringVal(v), nil
			}
			return cty.NilVal, errors.New("the environment variable is not set")
		},
	})}}
}

func mustDecode(t *testing.T, text string) *Set {
	t.Helper()
	s, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ada() User { return User{ID: "u1", Name: "ada", Groups: []string{"staff", "gpu"}} }
func bob() User { return User{ID: "u2", Name: "bob"} }

func mustResolve(t *testing.T, s *Set, u User, options string) Resolved {
	t.Helper()
	r, err := s.Resolve(u, Server{ID: "s1"}, json.RawMessage(options))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNoProfilesLeaveEverythingAsItCame(t *testing.T) {
	t.Parallel()
	empty := mustDecode(t, "")
	for _, s := range []*Set{nil, empty} {
		r := mustResolve(t, s, bob(), `{"any": ["thing"], "deep": {"x": [1]}}`)
		want := Resolved{Options: json.RawMessage(`{"any": ["thing"], "deep": {"x": [1]}}`)}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Error(diff)
		}
		if len(s.Forms(bob(), Server{})) > 0 || len(s.Names()) > 0 || len(s.Templates()) > 0 {
			t.Error("there are profiles where there are none")
		}
	}
}

const whole = `
profile_defaults {
  driver        = "docker"
  image         = "jupyter/base:${env("TAG")}"
  mem_guarantee = "512M"
  mem_limit     = "1G"
  cpu           = 500
  environment   = { SITE = "lab", GONE = "x" }
  constraint {
    attribute = "attr.kernel.name"
    value     = "linux"
  }
  volume "home" {
    kind  = "dynamic"
    path  = "/home/jovyan"
    share = "user"
    size  = "10G"
  }
  override {
    groups      = ["staff"]
    environment = { STAFF = "yes" }
  }
}

profile "small" {
  display_name = "Small"
  description  = "For ${user.name}"
  icon         = "cpu"
  default      = true
}

profile "large" {
  mem_guarantee = contains(user.groups, "gpu") ? "16G" : "2G"
  mem_limit     = "16G"
  cpu_guarantee = 1.5
  cpu_limit     = 2
  environment   = { GONE = null, HOME_OF = user.name }
  node_pool     = "big"
  datacenters   = ["dc*"]
  priority      = 60
  config {
    shm_size   = 1073741824
    privileged = false
    ulimit     = { nofile = "1024" }
  }
  device "nvidia/gpu" {
    when  = contains(user.groups, "gpu")
    count = 2
    constraint {
      attribute = "device.attr.memory"
      operator  = ">="
      value     = "8 GiB"
    }
  }
  network {
    mode  = "bridge"
    port  = 8888
    ports = { tensorboard = 6006 }
  }
  volume "home" {
    size_max = "20G"
    grace    = "720h"
  }
  volume "team" {
    kind      = "csi"
    plugin    = "nfs"
    share     = "group"
    group     = "staff"
    path      = "/shared"
    read_only = true
  }
  task "prepare" {
    hook   = "prestart"
    driver = "docker"
    image  = "busybox:1"
    args   = ["chown", user.name]
    memory = "64M"
    mounts = { home = "/home/jovyan", team = "/shared" }
  }
  stop_signal  = "SIGTERM"
  stop_timeout = "30s"
  pull_timeout = "15m"
  restart { attempts = 0 }
  disconnect { lost_after = "6h" }
  start_timeout  = "3m"
  answer_timeout = "1m"
  queue_timeout  = "2h"
  idle_after     = "never"
  max_age        = "24h"
  default_url    = "/lab/tree/${user.name}"
  notebook_dir   = "/home/jovyan/work"
}
`

func TestWholeProfile(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, whole)
	got := mustResolve(t, s, ada(), `{"profile": "large"}`)
	where := scheduler.Placement{
		NodePool: "big", Datacenters: []string{"dc*"}, Priority: 60,
		Constraints: []scheduler.Constraint{{Attribute: "${attr.kernel.name}", Operator: "=", Value: "linux"}},
	}
	volumesWhere := where
	volumesWhere.Priority = 0
	want := Resolved{
		Profile: "large", DisplayName: "large", Options: json.RawMessage(`{"profile":"large"}`),
		Workload: scheduler.Workload{
			Driver: "docker", Image: "jupyter/base:2026-11", Placement: where,
			Config:  map[string]any{"shm_size": int64(1 << 30), "privileged": false, "ulimit": map[string]any{"nofile": "1024"}},
			Network: scheduler.Network{Mode: "bridge", Port: 8888, Ports: map[string]int{"tensorboard": 6006}},
			Tasks: []scheduler.Task{{
				Name: "prepare", Hook: scheduler.HookPrestart, Driver: "docker", Image: "busybox:1", Args: []string{"chown", "ada"},
				Resources: scheduler.Resources{MemoryMB: 64}, Mounts: map[string]string{"home": "/home/jovyan", "team": "/shared"},
			}},
			StopSignal: "SIGTERM", StopTimeout: 30 * time.Second, PullTimeout: 15 * time.Minute,
			Restart: &scheduler.Restart{}, Disconnect: &scheduler.Disconnect{LostAfter: 6 * time.Hour},
		},
		Resources: scheduler.Resources{
			CPUGuarantee: 1.5, CPULimit: 2, MemoryMB: 16 << 10, MemoryMaxMB: 16 << 10,
			Devices: []scheduler.Device{{Name: "nvidia/gpu", Count: 2, Constraints: []scheduler.Constraint{{Attribute: "${device.attr.memory}", Operator: ">=", Value: "8 GiB"}}}},
		},
		Env: map[string]string{
			"SITE": "lab", "STAFF": "yes", "HOME_OF": "ada", "MEM_LIMIT": "17179869184", "MEM_GUARANTEE": "17179869184", "CPU_LIMIT": "2.0", "CPU_GUARANTEE": "1.5",
		},
		DefaultURL: "/lab/tree/ada", NotebookDir: "/home/jovyan/work",
		Volumes: []Claim{
			{
				Name: "home", Share: ShareUser, Retain: RetainGrace, Grace: 720 * time.Hour,
				Volume: scheduler.Volume{Kind: scheduler.MountDynamic, MinMB: 10 << 10, MaxMB: 20 << 10, Placement: volumesWhere},
				Mount:  scheduler.Mount{Name: "home", Kind: scheduler.MountDynamic, Path: "/home/jovyan"},
			},
			{
				Name: "team", Share: ShareGroup, Group: "staff", Retain: RetainKeep,
				Volume: scheduler.Volume{Kind: scheduler.MountCSI, Plugin: "nfs", Placement: volumesWhere},
				Mount:  scheduler.Mount{Name: "team", Kind: scheduler.MountCSI, Path: "/shared", ReadOnly: true},
			},
		},
		StartTimeout: 3 * time.Minute, AnswerTimeout: time.Minute, QueueTimeout: 2 * time.Hour, IdleAfter: -1, MaxAge: 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatDependsOnTheUser(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, whole)
	r := mustResolve(t, s, bob(), `{"profile": "large"}`)
	if r.Resources.MemoryMB != 2<<10 || len(r.Resources.Devices) > 0 || r.Env["STAFF"] != "" {
		t.Errorf("somebody without groups got %+v %v", r.Resources, r.Env)
	}
	if len(r.Volumes) != 1 || len(r.Workload.Tasks[0].Mounts) != 1 {
		t.Errorf("somebody who is not in the group sees its volume: %+v", r.Volumes)
	}
	forms := s.Forms(bob(), Server{})
	if len(forms) != 2 || !forms[0].Default || forms[1].Default || forms[0].Description != "For bob" || forms[0].Icon != "cpu" {
		t.Errorf("forms %+v", forms)
	}
	if forms[1].Resources.MemoryMaxMB != 16<<10 || forms[1].Image != "jupyter/base:2026-11" || forms[1].Pool != "big" {
		t.Errorf("form %+v", forms[1])
	}
}

// settled is the beginning of a profile that runs.
const settled = "driver = \"docker\"\n image = \"jupyter/base:1\"\n"

func TestMistakesOfTheOperatorAreToldWithTheirLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"unknown attribute":          {"profile \"a\" {\n  memry = 3\n}", `hub.hcl, line 2: There is no attribute "memry" in a profile.`},
		"near an attribute":          {"profile \"a\" {\n  mem_limt = 3\n}", `Did you mean mem_limit = …?`},
		"attribute for a block":      {"profile \"a\" {\n  network = \"x\"\n}", `Did you mean network { … }?`},
		"unknown block":              {"profile \"a\" {\n  volum \"x\" {}\n}", `line 2: There is no block "volum" in a profile. Did you mean volume { … }?`},
		"unknown in a volume":        {"profile \"a\" {\n  volume \"x\" {\n    pth = \"/x\"\n  }\n}", `line 3: There is no attribute "pth" in a block volume.`},
		"unknown variable":           {"profile \"a\" {\n  image = usr.name\n}", `line 2: Unknown variable.`},
		"unknown member":             {"profile \"a\" {\n  image = user.nam\n}", `line 2: Unsupported attribute.`},
		"Nomad's variable":           {"profile \"a\" {\n  args = [\"${attr.cpu.arch}\"]\n}", `$${attr.…}`},
		"unknown function":           {"profile \"a\" {\n  image = uper(user.name)\n}", `line 2: Call to unknown function.`},
		"size":                       {"profile \"a\" {\n  mem_limit = \"2GB\"\n}", `line 2: The setting mem_limit needs a size such as 512M`},
		"duration":                   {"profile \"a\" {\n  max_age = \"tomorrow\"\n}", `line 2: The setting max_age needs a length of time`},
		"duration without unit":      {"profile \"a\" {\n  start_timeout = 30\n}", `line 2: The setting start_timeout needs a length of time`},
		"negative":                   {"profile \"a\" {\n  cpu = -1\n}", `line 2: The setting cpu needs a number from 0`},
		"fraction":                   {"profile \"a\" {\n  cores = 1.5\n}", `line 2: The setting cores needs a whole number`},
		"type":                       {"profile \"a\" {\n  args = { a = 1 }\n}", `line 2: The setting args needs a list of texts`},
		"unknown of the wrong type":  {"profile \"a\" {\n  cpu = user.groups\n}", `line 2: The setting cpu needs a number`},
		"processor twice":            {"profile \"a\" {\n  cpu = 1\n  cores = 1\n}", `asks for processor in more than one way`},
		"limit below guarantee":      {"profile \"a\" {\n  mem_limit = \"1G\"\n  mem_guarantee = \"2G\"\n}", `mem_limit of 1024 MB below its mem_guarantee of 2048 MB`},
		"priority":                   {"profile \"a\" {\n  priority = 101\n}", `from 1 to 100`},
		"path":                       {"profile \"a\" {\n  volume \"x\" {\n    kind = \"dynamic\"\n    path = \"/a/../b\"\n  }\n}", `line 4: The setting path needs a path`},
		"volume without a path":      {"profile \"a\" {\n  volume \"x\" {\n    kind = \"dynamic\"\n  }\n}", `The volume "x" of the profile "a" needs a path`},
		"volume of another kind":     {"profile \"a\" {\n  volume \"x\" {\n    kind = \"nfs\"\n    path = \"/x\"\n  }\n}", `line 3: The setting kind needs host, dynamic, csi, sticky or docker, and is "nfs"`},
		"deleting a shared volume":   {"profile \"a\" {\n  volume \"x\" {\n    kind = \"dynamic\"\n    path = \"/x\"\n    share = \"all\"\n    retain = \"delete\"\n  }\n}", `deleted by an administrator only`},
		"deleting an operator's own": {"profile \"a\" {\n  volume \"x\" {\n    kind = \"csi\"\n    source = \"x\"\n    path = \"/x\"\n    retain = \"delete\"\n  }\n}", `never deletes`},
		"one path twice":             {"profile \"a\" {\n  volume \"x\" {\n    kind = \"sticky\"\n    path = \"/x\"\n  }\n  volume \"y\" {\n    kind = \"dynamic\"\n    path = \"/x\"\n  }\n}", `both mounted at /x`},
		"task mounts nothing":        {"profile \"a\" {\n  task \"t\" {\n    hook = \"prestart\"\n    command = \"x\"\n    mounts = { no = \"/x\" }\n  }\n}", `there is no such volume`},
		"label missing":              {"profile \"a\" {\n  volume {}\n}", `line 2: A block volume needs one name`},
		"label too many":             {"profile \"a\" {\n  network \"x\" {}\n}", `line 2: A block network has no name`},
		"block twice":                {"profile \"a\" {\n  network {}\n  network {}\n}", `line 3: There are two blocks network here`},
		"volume twice":               {"profile \"a\" {\n  volume \"x\" {}\n  volume \"x\" {}\n}", `line 3: There are two blocks volume "x" here`},
		"name of a profile":          {"profile \"A b\" {\n}", `The profile's name "A b" cannot be used`},
		"empty allow":                {"profile \"a\" {\n  allow {}\n}", `line 2: This block allow says nothing`},
		"override for whom":          {"profile \"a\" {\n  override {\n    cpu = 3\n  }\n}", `line 2: This block override does not say for whom it is`},
		"mistake in an override":     {"profile \"a\" {\n  override {\n    groups = [\"x\"]\n    cpu = \"lots\"\n  }\n}", `line 4: The setting cpu needs a number`},
		"defaults alone":             {"profile_defaults {\n  cpu = 1\n}", `no profile`},
		"mistake in defaults, once":  {"profile_defaults {\n  cpu = \"x\"\n}\nprofile \"a\" {}\nprofile \"b\" {}", `line 2: The setting cpu`},
		"block in config":            {"profile \"a\" {\n  config {\n    mount {}\n  }\n}", `line 3: The block mount { … } cannot stand here; write mount = [{ … }]`},
		"env of a user":              {"profile \"a\" {\n  image = env(user.name)\n}", `line 2: env() is called when the configuration is loaded`},
		"env not set":                {"profile \"a\" {\n  image = env(\"NOPE\")\n}", `line 2: Call to function "env" failed: the environment variable is not set`},
		"jobspec of a user":          {"profile \"a\" {\n  jobspec = \"${user.name}.hcl\"\n}", `line 2: The setting jobspec needs the name of a file as fixed text`},
		"option without a type":      {"profile \"a\" {\n  option \"x\" {}\n}", `line 2: The option "x" needs a type`},
		"text without a pattern":     {"profile \"a\" {\n  option \"x\" {\n    type = \"text\"\n  }\n}", `line 2: The option "x" needs a pattern`},
		"bad pattern":                {"profile \"a\" {\n  option \"x\" {\n    pattern = \"(\"\n  }\n}", `line 3: The setting pattern needs a regular expression`},
		"number without a maximum":   {"profile \"a\" {\n  option \"x\" {\n    min = 1\n  }\n}", `needs max`},
		"default out of bounds":      {"profile \"a\" {\n  option \"x\" {\n    max = 4\n    default = 9\n  }\n}", `which it would refuse`},
		"default no choice":          {"profile \"a\" {\n  option \"x\" {\n    choices = [\"a\"]\n    default = \"b\"\n  }\n}", `not among its choices`},
		"mistake in an effect":       {"profile \"a\" {\n  option \"x\" {\n    max = 4\n    set {\n      cpu = option.valu\n    }\n  }\n}", `line 5: Unsupported attribute`},
		"mistake in a choice":        {"profile \"a\" {\n  option \"x\" {\n    choice \"y\" {\n      set {\n        mem_limit = \"much\"\n      }\n    }\n  }\n}", `line 5: The setting mem_limit needs a size`},
		"image by free text":         {"profile \"a\" {\n" + settled + "  option \"x\" {\n    pattern = \"[a-z]+\"\n    set {\n      image = option.value\n    }\n  }\n}", `has no allowed_images`},
		"driver by free text":        {"profile \"a\" {\n" + settled + "  option \"x\" {\n    pattern = \"[a-z]+\"\n    set {\n      driver = option.value\n    }\n  }\n}", `takes no free text of the option "x"`},
		"a secret":                   {"profile \"a\" {\n  volume \"x\" {\n    secrets = { password = \"hunter2\" }\n  }\n}", `line 3: Secrets do not stand in the configuration`},
		"lost and stopped":           {"profile \"a\" {\n  disconnect {\n    lost_after = \"1h\"\n    stop_after = \"1h\"\n  }\n}", `takes one of the two`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := decode(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v\nwant %s", err, test.want)
			}
			if strings.Contains(name, "once") && strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("said more than once: %v", err)
			}
		})
	}
}

func TestWhoMayHaveAProfile(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile "all" {}
profile "named" {
  allow { users = ["bob"] }
}
profile "grouped" {
  default = true
  allow { groups = ["gpu", "x"] }
}
profile "said" {
  allow { when = user.admin || server.name == "lab" }
}
profile "either" {
  allow {
    users  = ["ada"]
    groups = ["none"]
    when   = length(user.groups) == 0
  }
}
profile "broken" {
  allow { when = user.groups[7] == "x" }
}`)
	for name, test := range map[string]struct {
		user     User
		server   string
		want     []string
		standard string
	}{
		"ada":       {ada(), "", []string{"all", "grouped", "either"}, "grouped"},
		"bob":       {bob(), "", []string{"all", "named", "either"}, "all"},
		"bob's lab": {bob(), "lab", []string{"all", "named", "said", "either"}, "all"},
		"admin":     {User{Name: "root", Admin: true, Groups: []string{"a"}}, "", []string{"all", "said"}, "all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range s.Forms(test.user, Server{Name: test.server}) {
				got = append(got, f.Name)
				if f.Default != (f.Name == test.standard) {
					t.Errorf("the default is %q", f.Name)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			for _, name := range s.Names() {
				_, err := s.Resolve(test.user, Server{Name: test.server}, json.RawMessage(`{"profile":["`+name+`"]}`))
				invalid, isInvalid := errors.AsType[*InvalidError](err)
				if may := slices.Contains(test.want, name); may != (err == nil) || !may && (!isInvalid || invalid.Field != "profile") {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}
