package stack

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
)

func TestMain(m *testing.M) { Main(m) }

func TestConsulDeniesWithoutToken(t *testing.T) {
	t.Parallel()
	s := New(t)
	anonymous, err := consul.NewClient(&consul.Config{Address: s.Consul.Address})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := anonymous.KV().Put(&consul.KVPair{Key: "nomadhub/x"}, nil); err == nil {
		t.Error("Consul let somebody without a token write")
	}
}

func TestNomadDeniesWithoutToken(t *testing.T) {
	t.Parallel()
	s := New(t)
	anonymous, err := nomad.NewClient(&nomad.Config{Address: s.Nomad.Address})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := anonymous.Jobs().List(nil); err == nil {
		t.Error("Nomad let somebody without a token list jobs")
	}
}

// TestJobUsesAllThree is the road that every notebook and the hub go: a task gets a secret from Vault and registers in Consul, both
// by its identity and without any token in the job.
func TestJobUsesAllThree(t *testing.T) {
	t.Parallel()
	s := New(t)
	runProbe(t, s)
	if got, err := get(t.Context(), probeURL(t, s)); got != "from-vault" {
		t.Errorf("the job answers %q, %v", got, err)
	}
}

// runProbe runs a small web server as a job, and returns when Consul finds it healthy.
func runProbe(t *testing.T, s *Stack) {
	t.Helper()
	if err := s.Vault.Write(t.Context(), "default/probe/config", map[string]any{"word": "from-vault"}); err != nil {
		t.Fatal(err)
	}
	job, err := s.Nomad.Client.Jobs().ParseHCL(probeJob, true)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		job.TaskGroups[0].Tasks[0].User = "nobody" // as notebooks do
	}
	if _, _, err := s.Nomad.Client.Jobs().Register(job, nil); err != nil {
		t.Fatal(err)
	}
	waitHealthy(t, s, "probe")
}

const probeJob = `
job "probe" {
  group "g" {
    network {
      port "http" {}
    }
    service {
      name = "probe"
      port = "http"
      meta {
        owner = "test"
      }
      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }
    task "t" {
      driver = "raw_exec"
      vault {}
      config {
        command = "/usr/bin/python3"
        args    = ["-m", "http.server", "-b", "127.0.0.1", "-d", "local/www", "${NOMAD_PORT_http}"]
      }
      template {
        destination = "local/www/index.html"
        data        = "{{ with secret \"secret/data/default/probe/config\" }}{{ .Data.data.word }}{{ end }}"
      }
      resources {
        cpu    = 500
        memory = 64
      }
    }
  }
}`

func waitHealthy(t *testing.T, s *Stack, service string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := poll(ctx, pollEvery, func(ctx context.Context) error {
		found, _, err := s.Consul.Client.Health().Service(service, "", true, (&consul.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("no healthy instance of %s", service)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\nNomad's log ends:\n%s", err, s.Nomad.LogTail(30))
	}
}
