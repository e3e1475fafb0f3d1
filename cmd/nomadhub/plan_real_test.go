package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/internal/stack"
)

// TestCheckOnARealCluster has a real Nomad say which of several profiles can be placed.
func TestCheckOnARealCluster(t *testing.T) {
	t.Parallel()
	s := stack.NewOwn(t, stack.Options{})
	token := write(t, "token", s.Nomad.Token)
	text := entrance + fmt.Sprintf(`
nomad {
  address    = %q
  token_file = %q
}
consul {}
profile_defaults {
  driver  = "raw_exec"
  command = "/bin/sleep"
  args    = ["1000"]
}
`, s.Nomad.Address, token)
	good := text + `
profile "small" {
  mem_guarantee = "64M"
  mem_limit     = "128M"
}
`
	got := check(t, good)
	if got.err != nil || !strings.Contains(got.errs, `Profile "small": fits now.`) {
		t.Fatalf("%v\n%s", got.err, got.errs)
	}
	got = check(t, good+`
profile "vast" {
  mem_guarantee = "900T"
}
profile "elsewhere" {
  option "kind" {
    choice "usual" {}
    choice "odd" {
      set {
        constraint {
          attribute = "attr.cpu.arch"
          value     = "abacus"
        }
      }
    }
  }
}
profile "gpu" {
  device "nvidia/gpu" {}
}
profile "missing" {
  node_pool = "nowhere"
}
service "culler" {
  driver  = "raw_exec"
  command = ["/bin/sleep", "1000"]
}
service "far" {
  driver    = "raw_exec"
  command   = ["/bin/sleep", "1000"]
  node_pool = "nowhere"
}
`)
	for _, part := range []string{
		`Profile "small": fits now.`, `Profile "vast": can never run.`, `Profile "elsewhere": fits now.`, `Profile "elsewhere" with kind = odd: can never run.`,
		`Profile "gpu": can never run.`, `Profile "missing": can never run.`,
		`Service "culler": fits now.`, `Service "far": can never run.`,
	} {
		if !strings.Contains(got.errs, part) {
			t.Errorf("lacks %q", part)
		}
	}
	if got.err == nil || !strings.Contains(got.err.Error(), "5 of what profiles and services come to can never run") {
		t.Errorf("ends with %v", got.err)
	}
	t.Log(got.errs)

	if err := s.Nomad.Kill(); err != nil {
		t.Fatal(err)
	}
	got = check(t, good)
	if got.err != nil || !strings.Contains(got.errs, "The cluster could not be asked") {
		t.Errorf("with Nomad away: %v\n%s", got.err, got.errs)
	}
	if got := call(t, nil, "config", "check", "-offline", write(t, "hub.hcl", good)); got.err != nil || strings.Contains(got.errs, "cluster") {
		t.Errorf("offline: %v\n%s", got.err, got.errs)
	}
}
