package profile

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const withOptions = `
profile "lab" {
  driver         = "docker"
  image          = "jupyter/base:1"
  allowed_images = ["jupyter/base:1", "jupyter/*:2026-??", "team/**"]
  mem_limit      = "${options.memory}G"

  option "memory" {
    min     = 1
    max     = contains(user.groups, "gpu") ? 32 : 4
    step    = 0.5
    default = 2
    unit    = "GB"
  }
  option "kernel" {
    display_name = "Language"
    choice "python" {}
    choice "r" {
      default = true
      set {
        environment = { LANGUAGE = upper(option.value) }
      }
    }
    choice "julia" {
      allow { groups = ["staff"] }
    }
  }
  option "gpu" {
    type = "bool"
    allow { groups = ["gpu"] }
    set {
      device "nvidia/gpu" {}
    }
  }
  option "branch" {
    pattern = "[a-z0-9/$%%{}:. -]+"
    hint    = "lower-case letters"
    default = "main"
    set {
      environment = { BRANCH = option.value }
      args        = ["--branch", option.value]
    }
  }
  option "tool" {
    choices = concat(["vim", "emacs"], user.admin ? ["ed"] : [])
    set {
      command = "/bin/${option.value}"
    }
  }
}
`

func TestOptionsHaveTheirEffect(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, strings.ReplaceAll(withOptions, "??", "11"))
	for name, test := range map[string]struct {
		user          User
		options, want string
		check         func(Resolved) bool
	}{
		"nothing said": {bob(), ``, `{"branch":"main","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, func(r Resolved) bool {
			return r.Env["LANGUAGE"] == "R" && r.Resources.MemoryMaxMB == 2048 && len(r.Resources.Devices) == 0 && r.Env["BRANCH"] == "main" && r.Workload.Command == "/bin/vim"
		}},
		"null": {bob(), `null`, `{"branch":"main","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, nil},
		"as JupyterHub's form sends": {ada(), `{"profile":["lab"],"memory":["4.5"],"kernel":["julia"],"gpu":["on"],"branch":["x"],"tool":["emacs"]}`,
			`{"branch":"x","gpu":true,"kernel":"julia","memory":4.5,"profile":"lab","tool":"emacs"}`, func(r Resolved) bool {
				return r.Resources.MemoryMaxMB == 4608 && len(r.Resources.Devices) == 1 && r.Env["LANGUAGE"] == "" && r.Workload.Args[1] == "x"
			}},
		"as KubeSpawner's form sends":  {bob(), `{"profile":["lab"],"profile-option-lab--memory":["3"],"profile-option-other--memory":["9"]}`, `{"branch":"main","kernel":"r","memory":3,"profile":"lab","tool":"vim"}`, nil},
		"as JSON":                      {ada(), `{"memory":32,"gpu":false}`, `{"branch":"main","gpu":false,"kernel":"r","memory":32,"profile":"lab","tool":"vim"}`, func(r Resolved) bool { return len(r.Resources.Devices) == 0 }},
		"a text left empty is unused":  {bob(), `{"branch":""}`, `{"branch":"","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, func(r Resolved) bool { return r.Env["BRANCH"] == "" && r.Workload.Args == nil }},
		"an empty list is nothing":     {bob(), `{"branch":[],"memory":""}`, `{"branch":"main","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, nil},
		"an image that matches":        {bob(), `{"image":"jupyter/r:2026-11"}`, `{"branch":"main","image":"jupyter/r:2026-11","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, func(r Resolved) bool { return r.Workload.Image == "jupyter/r:2026-11" }},
		"an image below two stars":     {bob(), `{"image":"team/a/b:1"}`, `{"branch":"main","image":"team/a/b:1","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, nil},
		"the profile's own image":      {bob(), `{"image":"jupyter/base:1"}`, `{"branch":"main","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, nil},
		"choices of an administrator":  {User{Name: "root", Admin: true}, `{"tool":"ed"}`, `{"branch":"main","kernel":"r","memory":2,"profile":"lab","tool":"ed"}`, nil},
		"what a canonical form says":   {ada(), `{"branch":"x","gpu":true,"kernel":"julia","memory":4.5,"profile":"lab","tool":"emacs"}`, `{"branch":"x","gpu":true,"kernel":"julia","memory":4.5,"profile":"lab","tool":"emacs"}`, nil},
		"harmless braces in a literal": {bob(), `{"branch":"a{b"}`, `{"branch":"a{b","kernel":"r","memory":2,"profile":"lab","tool":"vim"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := mustResolve(t, s, test.user, test.options)
			if diff := cmp.Diff(test.want, string(r.Options)); diff != "" {
				t.Error(diff)
			}
			if test.check != nil && !test.check(r) {
				t.Errorf("resolved to %+v", r)
			}
			if again := mustResolve(t, s, test.user, string(r.Options)); cmp.Diff(r, again) != "" {
				t.Errorf("its canonical form means something else: %s", cmp.Diff(r, again))
			}
		})
	}
}

func TestMistakesOfThePersonNameTheField(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, strings.ReplaceAll(withOptions, "??", "11"))
	for name, test := range map[string]struct{ options, field, want string }{
		"no object":             {`[]`, "", "must be a JSON object"},
		"no JSON":               {`{`, "", "must be a JSON object"},
		"too long":              {`{"branch":"` + strings.Repeat("x", 70000) + `"}`, "", "too long"},
		"profile":               {`{"profile":"none"}`, "profile", `There is no profile "none" for you; there are lab`},
		"profile of a kind":     {`{"profile":{"x":1}}`, "profile", "is an object"},
		"unknown key":           {`{"privileged":true}`, "privileged", "no such option"},
		"not for this user":     {`{"gpu":true}`, "gpu", "no such option"},
		"deep":                  {`{"memory":{"a":{"b":[1]}}}`, "memory", "is an object"},
		"list of many":          {`{"memory":[1,2]}`, "memory", "is a list"},
		"list of lists":         {`{"memory":[[1]]}`, "memory", "is a list"},
		"negative":              {`{"memory":-1}`, "memory", "from 1 to 4 GB"},
		"above what they may":   {`{"memory":5}`, "memory", "from 1 to 4 GB"},
		"no number":             {`{"memory":"lots"}`, "memory", "is not a number"},
		"hexadecimal":           {`{"memory":"0x2"}`, "memory", "is not a number"},
		"infinite":              {`{"memory":"Inf"}`, "memory", "is not a number"},
		"not a number":          {`{"memory":"NaN"}`, "memory", "is not a number"},
		"vast":                  {`{"memory":1e300}`, "memory", "is not a number"},
		"truth for a number":    {`{"memory":true}`, "memory", "is not a number"},
		"between steps":         {`{"memory":1.3}`, "memory", "steps of 0.5"},
		"no choice":             {`{"kernel":"perl"}`, "kernel", "there are python or r"},
		"choice of others":      {`{"kernel":"julia"}`, "kernel", "no choice"},
		"list of others":        {`{"tool":"ed"}`, "tool", "no choice"},
		"pattern":               {`{"branch":"UPPER"}`, "branch", "lower-case letters"},
		"line break":            {`{"branch":"a\nb"}`, "branch", "line break"},
		"zero byte":             {`{"branch":"a\u0000"}`, "branch", "line break"},
		"direction of writing":  {`{"branch":"a\u202eb"}`, "branch", "line break"},
		"what becomes another":  {`{"branch":"a\u037eb"}`, "branch", "lower-case letters"},
		"Nomad's variable":      {`{"branch":"${env}"}`, "branch", "Nomad"},
		"Nomad's template":      {`{"branch":"{{ x }}"}`, "branch", "Nomad"},
		"Nomad's directive":     {`{"branch":"%{ if x }"}`, "branch", "Nomad"},
		"image":                 {`{"image":"evil/x:1"}`, "image", "cannot be used: Allowed are"},
		"image beyond a slash":  {`{"image":"jupyter/x/y:2026-11"}`, "image", "Allowed are"},
		"image that only ends":  {`{"image":"evil/jupyter/base:1"}`, "image", "Allowed are"},
		"image with a variable": {`{"image":"team/${x}"}`, "image", "Allowed are"},
		"another's option":      {`{"profile-option-lab--nope":"x"}`, "nope", "no such option"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Resolve(bob(), Server{}, json.RawMessage(test.options))
			invalid, ok := errors.AsType[*InvalidError](err)
			if !ok || invalid.Field != test.field || !strings.Contains(invalid.Reason, test.want) {
				t.Errorf("got %#v, want field %q and %q", err, test.field, test.want)
			}
		})
	}
}

// TestOnlyTheConfiguredImageWithoutAList is about CVE-2023-48311 of another spawner, where no list meant any image.
func TestOnlyTheConfiguredImageWithoutAList(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile "own" {
  image = "jupyter/base:1"
  option "size" {
    choice "s" {}
    choice "l" {
      set { image = "jupyter/large:1" }
    }
  }
}
profile "users" {
  image = "company/jupyter-${user.name}:latest"
}
profile "bare" {}
profile "listed" {
  image          = "a/b:1"
  allowed_images = ["a/c:1"]
}
profile "free" {
  image          = "a/b:1"
  allowed_images = ["a/*"]
  option "other" {
    pattern = ".*"
    set { image = option.value }
  }
}`)
	for _, test := range []struct{ options, image string }{
		{`{"profile":"own"}`, "jupyter/base:1"},
		{`{"profile":"own","image":"jupyter/base:1"}`, "jupyter/base:1"},
		{`{"profile":"own","size":"l"}`, "jupyter/large:1"},
		{`{"profile":"own","image":"jupyter/large:1"}`, ""},
		{`{"profile":"own","image":"jupyter/base:1 "}`, ""},
		{`{"profile":"own","image":["evil:1"]}`, ""},
		{`{"profile":"users"}`, "company/jupyter-bob:latest"},
		{`{"profile":"users","image":"company/jupyter-ada:latest"}`, ""},
		{`{"profile":"bare","image":"x:1"}`, ""},
		{`{"profile":"listed"}`, "a/b:1"},
		{`{"profile":"listed","image":"a/c:1"}`, "a/c:1"},
		{`{"profile":"listed","image":"a/b:1"}`, "a/b:1"},
		{`{"profile":"listed","image":"a/c:12"}`, ""},
		{`{"profile":"free"}`, "a/b:1"},
		{`{"profile":"free","other":"a/x:9"}`, "a/x:9"},
		{`{"profile":"free","other":"a/b:1"}`, "a/b:1"},
		{`{"profile":"free","other":"b/x:9"}`, ""},
		{`{"profile":"free","other":"a/x y"}`, ""},
		{`{"profile":"free","other":"a/../x"}`, ""},
		{`{"profile":"free","image":"a/x:9"}`, "a/x:9"},
		{`{"profile":"free","image":"b/x:9"}`, ""},
	} {
		r, err := s.Resolve(bob(), Server{}, json.RawMessage(test.options))
		_, invalid := errors.AsType[*InvalidError](err)
		if r.Workload.Image != test.image || invalid != (test.image == "") {
			t.Errorf("%s runs %q, %v", test.options, r.Workload.Image, err)
		}
	}
}

func TestNamesOfPersonsStayWithinTheirPlace(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile "a" {
  image     = "company/jupyter-${user.name}:latest"
}
profile "slug" {
  image     = "company/jupyter-${slug(user.name)}:latest"
  namespace = "nb-${slug(try(user.groups[0], "none"))}"
}
profile "path" {
  volume "home" {
    kind = "dynamic"
    path = "/home/${user.name}"
  }
}
profile "source" {
  volume "home" {
    kind   = "host"
    source = "home-${user.name}"
    path   = "/home"
  }
}
profile "conf" {
  config {
    volumes = ["/data/${user.name}:/data"]
  }
}
profile "args" {
  command = "bash"
  args    = ["-c", "start ${user.name}"]
}
profile "whole" {
  args = [user.name]
}
profile "env" {
  environment = { WHO = "it is ${user.name}", SERVER = server.name }
}
profile "decided" {
  image = contains(user.groups, "$${x}:y") ? "registry/x:latest" : "$${attr.image}"
}`)
	for _, test := range []struct {
		profile, name string
		good          bool
	}{
		{"a", "ada", true}, {"a", "ada.l_o-v", true}, {"a", "ada:1", false}, {"a", "x/../evil", false}, {"a", "${env}", false}, {"a", "a@sha256", true}, {"a", "a b", false},
		{"slug", "Ada Lovelace/../x", true}, {"slug", "ÄÖÜ", true},
		{"path", "ada", true}, {"path", "..", false}, {"path", "a/b", false}, {"path", "{{x}}", false},
		{"source", "ada", true}, {"source", "a[0]", false},
		{"conf", "ada", true}, {"conf", "x:/etc", false}, {"conf", "a/../../etc", false}, {"conf", "%{x}", false},
		{"args", "ada", true}, {"args", "x;reboot", false}, {"args", "$(reboot)", false}, {"args", "a b", false}, {"args", "a'b", false}, {"args", "x\u037ereboot", false}, {"args", "x\u1fefreboot\u1fef", false},
		{"whole", "a b;c", true}, {"whole", "${x}", false},
		{"env", "${x} {{y}} ;", true},
		{"decided", "ada", true}, {"decided", "${x}", true},
	} {
		r, err := s.Resolve(User{Name: test.name, Groups: []string{"g/1", "${x}:y"}}, Server{Name: "x"}, json.RawMessage(`{"profile":"`+test.profile+`"}`))
		_, invalid := errors.AsType[*InvalidError](err)
		if (err == nil) != test.good || err != nil && !invalid {
			t.Errorf("%s for %q: %v %+v", test.profile, test.name, err, r.Workload)
		}
	}
	for _, pair := range [][2]string{{"a b", "a-b"}, {"A", "a"}, {"", "-"}, {strings.Repeat("x", 60), strings.Repeat("x", 61)}} {
		a, b := slug(pair[0]), slug(pair[1])
		if a == b || len(a) > maxSlug || len(b) > maxSlug {
			t.Errorf("%q and %q become %q and %q", pair[0], pair[1], a, b)
		}
	}
	if forged := slug("A"); slug(forged) == forged {
		t.Error("somebody whose name looks like another's slug gets it")
	}
}

func TestFormsShowOnlyWhatTheUserMayHave(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, strings.ReplaceAll(withOptions, "??", "11"))
	fields := func(u User) map[string]Field {
		found := map[string]Field{}
		for _, f := range s.Forms(u, Server{})[0].Fields {
			found[f.Name] = f
		}
		return found
	}
	bobs, adas := fields(bob()), fields(ada())
	want := map[string]Field{
		"memory": {Name: "memory", DisplayName: "memory", Kind: FieldNumber, Min: 1, Max: 4, Step: 0.5, Unit: "GB", Default: "2"},
		"kernel": {Name: "kernel", DisplayName: "Language", Kind: FieldChoice, Default: "r", Choices: []Choice{{Name: "python", DisplayName: "python"}, {Name: "r", DisplayName: "r"}}},
		"branch": {Name: "branch", DisplayName: "branch", Kind: FieldText, Pattern: "[a-z0-9/$%{}:. -]+", Hint: "lower-case letters", Default: "main"},
		"tool":   {Name: "tool", DisplayName: "tool", Kind: FieldChoice, Default: "vim", Choices: []Choice{{Name: "vim", DisplayName: "vim"}, {Name: "emacs", DisplayName: "emacs"}}},
		"image": {
			Name: "image", DisplayName: "Image", Kind: FieldText,
			Pattern: bobs["image"].Pattern, Hint: "Allowed are jupyter/base:1, jupyter/*:2026-11 or team/**. Leave it empty for jupyter/base:1.",
		},
	}
	if diff := cmp.Diff(want, bobs); diff != "" {
		t.Error(diff)
	}
	if _, gpu := adas["gpu"]; !gpu || adas["memory"].Max != 32 || len(adas["kernel"].Choices) != 3 {
		t.Errorf("ada's fields: %+v", adas)
	}
}

func TestLargerKeepsTheFiles(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile_defaults {
  volume "home" {
    kind  = "dynamic"
    share = "user"
    path  = "/home/jovyan"
  }
}
profile "small" { mem_limit = "1G" }
profile "elsewhere" {
  mem_limit = "2G"
  volume "home" { share = "server" }
}
profile "sized" {
  option "size" {
    choice "m" {
      set { mem_limit = "4G" }
    }
    choice "l" {
      set { mem_limit = "8G" }
    }
    choice "xl" {
      allow { groups = ["gpu"] }
      set { mem_limit = "16G" }
    }
  }
}
profile "slider" {
  mem_limit = "${options.memory}G"
  option "memory" {
    min = 1
    max = 48
  }
  option "kind" { choices = ["a", "b"] }
}
profile "hidden" {
  mem_limit = "64G"
  allow { users = ["nobody"] }
}`)
	for _, test := range []struct {
		user       User
		have, want string
	}{
		{bob(), `{"profile":"small"}`, `{"kind":"a","memory":2,"profile":"slider"}`},
		{bob(), `{"profile":"sized","size":"m"}`, `{"profile":"sized","size":"l"}`},
		{bob(), `{"profile":"sized","size":"l"}`, `{"kind":"a","memory":48,"profile":"slider"}`},
		{ada(), `{"profile":"sized","size":"l"}`, `{"profile":"sized","size":"xl"}`},
		{bob(), `{"profile":"slider","memory":4,"kind":"b"}`, `{"kind":"b","memory":8,"profile":"slider"}`},
		{bob(), `{"profile":"slider","memory":30,"kind":"b"}`, `{"kind":"b","memory":48,"profile":"slider"}`},
		{bob(), `{"profile":"slider","memory":48}`, ``},
		{bob(), `{"profile":"elsewhere"}`, ``},
	} {
		got, ok := s.Larger(test.user, Server{}, json.RawMessage(test.have))
		if string(got) != test.want || ok != (test.want != "") {
			t.Errorf("above %s is %s, %v; want %s", test.have, got, ok, test.want)
		}
	}
	if _, ok := (*Set)(nil).Larger(bob(), Server{}, nil); ok {
		t.Error("without profiles there is something larger")
	}
}

func TestABrokenProfileIsTheOperatorsMistake(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, "profile \"a\" {\n  node_pool = user.groups[3]\n}")
	_, err := s.Resolve(bob(), Server{}, nil)
	broken, ok := errors.AsType[*BrokenError](err)
	if !ok || broken.Profile != "a" || !strings.Contains(err.Error(), "hub.hcl, line 2") || strings.Contains(broken.Reason(), "hub.hcl") {
		t.Errorf("got %v: %v", err, errors.Unwrap(err))
	}
	if forms := s.Forms(bob(), Server{}); len(forms) != 1 {
		t.Errorf("forms %v", forms)
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile "a" {
  jobspec = "/etc/hub/own.nomad.hcl"
  override {
    groups  = ["gpu"]
    jobspec = "gpu-${env("TAG")}.nomad.hcl"
  }
}
profile "b" { jobspec = "other/own.nomad.hcl" }`)
	if diff := cmp.Diff(map[string]string{"own.nomad.hcl": "/etc/hub/own.nomad.hcl", "gpu-2026-11.nomad.hcl": "gpu-2026-11.nomad.hcl", slug("other/own.nomad.hcl"): "other/own.nomad.hcl"}, s.Templates()); diff != "" {
		t.Error(diff)
	}
	if got := mustResolve(t, s, ada(), "").Workload.Template; got != "gpu-2026-11.nomad.hcl" {
		t.Errorf("ada begins with %q", got)
	}
}
