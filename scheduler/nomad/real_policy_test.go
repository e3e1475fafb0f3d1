package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

var capability = regexp.MustCompile(`"([a-z-]+)"`)

// testPolicyIsLeast shows for each capability of the policy that something fails without it. That it is enough is shown by all
// the other tests, which have nothing else.
func (c *cluster) testPolicyIsLeast(t *testing.T) {
	text, err := os.ReadFile("testdata/policy.hcl")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("as it is", func(t *testing.T) {
		t.Parallel()
		options := c.options(t)
		if err := c.everything(t, options); err != nil {
			t.Error(err)
		}
		c.discard(t, options.JobPrefix)
	})
	_, rules, _ := strings.Cut(string(text), "\nnamespace")
	for line := range strings.Lines(rules) {
		if !strings.Contains(line, "capabilities") {
			continue
		}
		for _, found := range capability.FindAllStringSubmatch(line, -1) {
			t.Run("without "+found[1], func(t *testing.T) {
				t.Parallel()
				least := strings.Replace(string(text), line, dropCapability(line, found[0]), 1)
				options := c.options(t)
				options.Client = c.withPolicy(t, options.JobPrefix+found[1], least)
				if err := c.everything(t, options); err == nil {
					t.Errorf("everything works without %s", found[1])
				} else {
					t.Log(err)
				}
				c.discard(t, options.JobPrefix)
			})
		}
	}
	for _, block := range policyBlock.FindAllString(string(text), -1) {
		name, _, _ := strings.Cut(strings.Replace(block, "_", "-", 1), " ")
		t.Run("without the rule for "+name, func(t *testing.T) {
			t.Parallel()
			options := c.options(t)
			options.Client = c.withPolicy(t, options.JobPrefix+name, strings.Replace(string(text), block, "", 1))
			if err := c.everything(t, options); err == nil {
				t.Errorf("everything works without the rule for %s", name)
			} else {
				t.Log(err)
			}
			c.discard(t, options.JobPrefix)
		})
	}
}

func dropCapability(line, quoted string) string {
	line = strings.Replace(line, quoted+", ", "", 1)
	return strings.Replace(line, ", "+quoted, "", 1)
}

func (c *cluster) withPolicy(t *testing.T, name, rules string) *api.Client {
	t.Helper()
	if _, err := c.admin.ACLPolicies().Upsert(&api.ACLPolicy{Name: name, Rules: rules}, nil); err != nil {
		t.Fatal(err)
	}
	token, _, err := c.admin.ACLTokens().Create(&api.ACLToken{Type: "client", Policies: []string{name}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return client(t, c.admin.Address(), token.SecretID)
}

// everything does all that a hub does with one server, and returns the first error.
func (c *cluster) everything(t *testing.T, options nomad.Options) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	options.Variables["command"], options.Variables["args"] = "/bin/sleep", `["60"]`
	s := open(t, options)
	if err := s.Check(ctx); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	for _, err := range s.Watch(ctx) {
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		break
	}
	if err := s.Start(ctx, scheduler.Spec{ID: "a", Generation: 1}); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for running := false; !running; {
		status, err := s.Status(ctx, "a")
		if err != nil {
			return fmt.Errorf("status: %w", err)
		}
		if running = status.State == scheduler.Running; !running {
			<-again.C
		}
	}
	if _, err := s.LogTail(ctx, "a", 5); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	all, err := s.List(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(all) != 1 {
		return errors.New("list: the server is missing")
	}
	if err := s.Stop(ctx, "a", 1); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return everyVolume(ctx, s, options.JobPrefix)
}

// discard removes what a test left that was meant to fail half way.
func (c *cluster) discard(t *testing.T, prefix string) {
	t.Helper()
	for _, id := range []string{"a", "b"} {
		if _, _, err := c.admin.Jobs().Deregister(prefix+id, true, nil); err != nil {
			t.Error(err)
		}
		if _, err := c.admin.Variables().Delete("nomad/jobs/"+prefix+id, nil); err != nil {
			t.Error(err)
		}
	}
	c.discardVolumes(t, prefix)
}
