package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzed puts a person's texts into as many places as an operator might.
const fuzzed = `
profile_defaults {
  driver    = "docker"
  image     = "jupyter/base:1"
  mem_limit = "${options.memory}G"
  option "memory" {
    min = 1
    max = 8
  }
}
profile "small" {}
profile "lab" {
  display_name   = "Lab of ${user.name}"
  allowed_images = ["jupyter/*", "team/**"]
  option "branch" {
    pattern = "[^!]*"
    set {
      environment = { BRANCH = option.value, NOTE = "at ${option.value}" }
      args        = ["--branch=${option.value}", option.value]
      notebook_dir = option.value
      config {
        hostname = option.value
        labels   = [{ branch = option.value, mixed = "b-${option.value}" }]
      }
      volume "data" {
        kind       = "dynamic"
        path       = "/data/${option.value}"
        parameters = { branch = option.value }
      }
      constraint {
        attribute = "meta.branch"
        value     = option.value
      }
      task "clone" {
        hook        = "prestart"
        image       = "git:1"
        args        = ["clone", option.value]
        environment = { BRANCH = option.value }
      }
    }
  }
  option "kernel" { choices = ["python", "r"] }
}
`

// FuzzF38Resolve: whatever is sent as options, every text that a person is free to write ends up in nothing but the leaves that the profile put it into,
// and whole.
func FuzzF38Resolve(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"profile":["lab"],"branch":["main"],"memory":["4"]}`, `{"profile":"lab","branch":"${env}"}`, `{"profile":"lab","branch":"{{ key }}"}`,
		`{"profile":"lab","branch":"../../etc"}`, `{"profile":"lab","branch":"x\"; privileged = true"}`, `{"profile":"lab","image":"team/a/b@sha256:1"}`,
		`{"profile":"lab","image":"jupyter/x","memory":-1}`, `{"profile":"lab","kernel":{"a":[[[[1]]]]}}`, `{"memory":1e309}`, `{"profile":"lab","branch":"a b:c,d"}`,
		`{"profile":"lab","branch":"$","kernel":"r"}`, `{"profile":"lab","branch":"%{"}`, `{"profile-option-lab--branch":["z"],"profile":["lab"]}`,
	} {
		f.Add(seed, "ada", "")
	}
	f.Add(`{"profile":"lab","branch":"x"}`, "${user}", "{{s}}")
	set, err := decode(fuzzed)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, options, name, server string) {
		u, srv := User{Name: name, Groups: []string{"staff"}}, Server{Name: server}
		r, err := set.Resolve(u, srv, json.RawMessage(options))
		if err != nil {
			if _, invalid := errors.AsType[*InvalidError](err); !invalid {
				t.Fatalf("what a person sent is taken for the operator's mistake: %v: %v", err, errors.Unwrap(err))
			}
			return
		}
		var sent map[string]any
		if err := json.Unmarshal(r.Options, &sent); err != nil {
			t.Fatalf("the canonical options are no JSON: %v", err)
		}
		again, err := set.Resolve(u, srv, r.Options)
		if err != nil || string(again.Options) != string(r.Options) {
			t.Fatalf("the canonical options %s come back as %s, %v", r.Options, again.Options, err)
		}
		if m := r.Resources.MemoryMaxMB; m < 1<<10 || m > 8<<10 {
			t.Fatalf("%d MB of memory", m)
		}
		if img := r.Workload.Image; img != "jupyter/base:1" && !strings.HasPrefix(img, "jupyter/") && !strings.HasPrefix(img, "team/") || strings.ContainsAny(img, " ${}\"'\n") {
			t.Fatalf("the image %q", img)
		}
		branch, _ := sent["branch"].(string)
		if want := expected(set, t, r, branch); want != leaves(r) {
			t.Fatalf("with the branch %q the workload is\n%s\nand not\n%s", branch, leaves(r), want)
		}
	})
}

// expected is the workload of the same choice with a harmless word for the text, and the text then put in its place in the leaves that have the word.
func expected(set *Set, t *testing.T, r Resolved, branch string) string {
	t.Helper()
	if branch == "" || r.Profile != "lab" {
		return leaves(r)
	}
	if replaced(branch) || hasControl(branch) || !utf8.ValidString(branch) {
		t.Fatalf("the text %q came through", branch)
	}
	const word = "qqmarkerqq"
	var options map[string]any
	if err := json.Unmarshal(r.Options, &options); err != nil {
		t.Fatal(err)
	}
	options["branch"] = word
	harmless, _ := json.Marshal(options)
	same, err := set.Resolve(User{Name: "ada"}, Server{}, harmless)
	if err != nil {
		t.Fatal(err)
	}
	quoted, _ := json.Marshal(branch)
	return strings.ReplaceAll(leaves(same), word, string(quoted[1:len(quoted)-1]))
}

// leaves is all that a scheduler is told, as text in which structure and content cannot be mistaken for each other.
func leaves(r Resolved) string {
	b, err := json.Marshal(struct{ Workload, Resources, Env, Volumes, Dir any }{r.Workload, r.Resources, r.Env, r.Volumes, r.NotebookDir})
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
