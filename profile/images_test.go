package profile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nomadhub/nomadhub/scheduler"
)

func TestImagesThatDoNotDependOnAnybody(t *testing.T) {
	t.Parallel()
	set := mustDecode(t, `
		profile_defaults { driver = "docker" }
		profile "plain" { image = "lab:${env("TAG")}" }
		profile "same" { image = "lab:2026-11" }
		profile "mine" { image = "lab-${user.name}" }
		profile "process" {
			driver  = "raw_exec"
			command = "jupyterhub-singleuser"
		}
		profile "gpu" {
			image     = "cuda:1"
			node_pool = "gpu"
			override {
				groups = ["beta"]
				image  = "cuda:2"
			}
			option "flavour" {
				default = "stable"
				choice "stable" {}
				choice "daily" {
					set { image = "cuda:daily" }
				}
				choice "own" {
					set { image = "cuda-${user.name}" }
				}
			}
		}`)
	want := []scheduler.WarmImage{
		{Driver: "docker", Image: "lab:2026-11"},
		{Driver: "docker", Image: "cuda:1", Pool: "gpu"},
		{Driver: "docker", Image: "cuda:2", Pool: "gpu"},
		{Driver: "docker", Image: "cuda:daily", Pool: "gpu"},
	}
	if diff := cmp.Diff(want, set.Images()); diff != "" {
		t.Error(diff)
	}
	var none *Set
	if none.Images() != nil {
		t.Error("no profile has images")
	}
}
