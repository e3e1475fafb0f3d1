package profile

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestLaterLayersWinAndLeaveAloneWhatTheyDoNotMention(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile_defaults {
  driver      = "docker"
  image       = "base:1"
  cpu         = 500
  mem_limit   = "1G"
  datacenters = ["a", "b"]
  environment = { ONE = "1", TWO = "2", THREE = "3" }
  idle_after  = "1h"
  network {
    mode = "bridge"
    port = 8888
  }
  spread {
    attribute = "node.datacenter"
    targets   = { a = 70, b = 30 }
  }
  affinity {
    attribute = "node.class"
    value     = "fast"
  }
  volume "home" {
    kind = "dynamic"
    path = "/home"
    size = "1G"
  }
  task "side" {
    hook    = "prestart"
    command = "one"
  }
  option "shared" { choices = ["x", "y"] }
  option "other" { choices = ["x", "y"] }
  allow { groups = ["all"] }
}
profile "plain" {
  allow { when = true }
}
profile "changed" {
  cores       = 2
  mem_limit   = null
  datacenters = ["c"]
  environment = { TWO = "two", THREE = null }
  idle_after  = "never"
  network { port = 9999 }
  affinity {
    attribute = "meta.rack"
    operator  = "!="
    value     = "r1"
    weight    = -20
  }
  volume "home" { size = "2G" }
  volume "scratch" {
    kind = "sticky"
    path = "/scratch"
  }
  task "side" { when = false }
  option "shared" {
    choice "z" {
      set { cpu_guarantee = 0.5 }
    }
  }
  override {
    when      = server.name == "special"
    node_pool = "special"
    cpu       = 9
  }
  override {
    users     = ["ada"]
    node_pool = "hers"
  }
  allow { when = true }
}
profile "closed" {}
`)
	resolve := func(u User, server, options string) Resolved {
		t.Helper()
		r, err := s.Resolve(u, Server{Name: server}, json.RawMessage(options))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	plain := resolve(bob(), "", `{"profile":"plain"}`)
	if plain.Resources.CPU != 500 || plain.Resources.MemoryMB != 1024 || len(plain.Workload.Tasks) != 1 || plain.Volumes[0].Volume.MinMB != 1024 {
		t.Errorf("the defaults alone: %+v", plain)
	}
	got := resolve(bob(), "", `{"profile":"changed"}`)
	if got.Resources.CPU != 0 || got.Resources.Cores != 0 || got.Resources.CPUGuarantee != 0.5 || got.Resources.MemoryMB != 0 {
		t.Errorf("resources %+v", got.Resources)
	}
	if diff := cmp.Diff(map[string]string{"ONE": "1", "TWO": "two", "CPU_GUARANTEE": "0.5"}, got.Env); diff != "" {
		t.Error(diff)
	}
	want := scheduler.Placement{
		Datacenters: []string{"c"},
		Affinities: []scheduler.Affinity{
			{Constraint: scheduler.Constraint{Attribute: "${node.class}", Operator: "=", Value: "fast"}, Weight: 50},
			{Constraint: scheduler.Constraint{Attribute: "${meta.rack}", Operator: "!=", Value: "r1"}, Weight: -20},
		},
		Spreads: []scheduler.Spread{{Attribute: "${node.datacenter}", Weight: 50, Targets: map[string]int{"a": 70, "b": 30}}},
	}
	if diff := cmp.Diff(want, got.Workload.Placement); diff != "" {
		t.Error(diff)
	}
	if n := got.Workload.Network; n.Mode != "bridge" || n.Port != 9999 {
		t.Errorf("network %+v", n)
	}
	if len(got.Workload.Tasks) != 0 || len(got.Volumes) != 2 || got.Volumes[0].Volume.MinMB != 2048 || got.Volumes[0].Share != ShareUser || got.Volumes[1].Share != ShareServer {
		t.Errorf("tasks %+v, volumes %+v", got.Workload.Tasks, got.Volumes)
	}
	if got.IdleAfter != -1 || string(got.Options) != `{"other":"x","profile":"changed","shared":"z"}` {
		t.Errorf("idle after %v, options %s", got.IdleAfter, got.Options)
	}
	if r := resolve(bob(), "special", `{"profile":"changed"}`); r.Workload.Placement.NodePool != "special" || r.Resources.CPU != 0 {
		t.Errorf("an option's effect is not the last: %+v", r.Resources)
	}
	if r := resolve(ada(), "special", `{"profile":"changed"}`); r.Workload.Placement.NodePool != "hers" {
		t.Errorf("the later override does not win: %q", r.Workload.Placement.NodePool)
	}
	if _, err := s.Resolve(bob(), Server{}, json.RawMessage(`{"profile":"closed"}`)); err == nil {
		t.Error("the defaults' rule of who may have a profile does not hold for one without its own")
	}
}

func TestCasesCoverGroupsAndChoices(t *testing.T) {
	t.Parallel()
	s := mustDecode(t, `
profile "lab" {
  option "size" {
    choice "s" {}
    choice "l" {
      set { mem_limit = "4G" }
    }
    choice "xl" {
      allow { groups = ["staff"] }
      set { mem_limit = "8G" }
    }
  }
  option "n" {
    min = 1
    max = 9
    set { cpu = option.value * 100 }
  }
  override {
    groups    = ["gpu"]
    node_pool = "gpu"
  }
}
profile "hidden" {
  priority = 10
  allow { users = ["nobody"] }
}`)
	var got []string
	for _, c := range s.Cases() {
		if c.Err != nil {
			t.Errorf("%s: %v", c, c.Err)
		}
		got = append(got, c.String())
	}
	want := []string{
		`"lab"`, `"lab" with size = l`, `"lab" with n = 9`,
		`"lab" for members of gpu`, `"lab" with size = l for members of gpu`, `"lab" with n = 9 for members of gpu`,
		`"lab" with size = xl for members of staff`,
		`"hidden"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
