package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// seenService is a service as the API shows it.
type seenService struct {
	PID     int
	Command []string
	Healthy *bool
}

func (c client) service(name string) (s seenService, status int) {
	c.t.Helper()
	status, body := c.ask(http.MethodGet, "/hub/api/services/"+name, "")
	if status == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			c.t.Fatal(err)
		}
	}
	return s, status
}

// as is the client with another token.
func (c client) as(token string) client {
	c.token = token
	return c
}

func (c client) rewrite(text string) {
	c.t.Helper()
	if err := os.WriteFile(c.configuration+".next", []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.configuration+".next", c.configuration); err != nil {
		c.t.Fatal(err)
	}
}

// alive tells whether a process runs. One that has ended and is nobody's child may stay in the table, with nothing left to run.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

const keepers = `
role "keepers" {
  scopes = ["list:services", "read:services"]
  users  = ["ada"]
}
role "lookers" {
  scopes   = ["read:hub"]
  services = ["writer"]
}
`

// TestServicesOfARunningHub has the hub run a command, kills it, and takes it out of the configuration.
func TestServicesOfARunningHub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fmt.Sprintf(`env > %[1]s/env.$$; mv %[1]s/env.$$ %[1]s/env; echo hello; sleep 600 & echo $! > %[1]s/child; wait`, dir)
	managed := keepers + fmt.Sprintf("service \"writer\" {\n  command = [\"/bin/sh\", \"-c\", %q]\n  environment = { COLOUR = \"blue\" }\n}\n", script)
	c := newClient(t, managed)
	environment := func() map[string]string {
		text, err := os.ReadFile(filepath.Join(dir, "env"))
		if err != nil {
			return nil
		}
		env := map[string]string{}
		for line := range strings.Lines(string(text)) {
			k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			env[k] = v
		}
		return env
	}
	var child int
	eventually(t, "the command runs", func() bool {
		s, _ := c.service("writer")
		text, err := os.ReadFile(filepath.Join(dir, "child"))
		if err == nil {
			_, _ = fmt.Sscan(string(text), &child)
		}
		return s.PID != 0 && environment() != nil && child != 0
	})
	first, _ := c.service("writer")
	env := environment()
	token := env["JUPYTERHUB_API_TOKEN"]
	for name, want := range map[string]string{
		"JUPYTERHUB_SERVICE_NAME": "writer", "JUPYTERHUB_CLIENT_ID": "service-writer", "JUPYTERHUB_BASE_URL": "/", "COLOUR": "blue",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES": `["access:services","access:services!service=writer"]`, "JUPYTERHUB_USER": "", "JUPYTERHUB_SERVER_NAME": "",
	} {
		if got, ok := env[name]; !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name := range env {
		if name == "JUPYTERHUB_ACTIVITY_URL" || name == "JUPYTERHUB_SERVICE_URL" || strings.HasPrefix(name, "NOMADHUB_") {
			t.Errorf("the command was told %s", name)
		}
	}
	if status, body := c.as(token).ask(http.MethodGet, "/hub/api/user", ""); status != http.StatusOK || !strings.Contains(body, `"scopes":["read:hub"]`) {
		t.Errorf("the service is %d %s", status, body)
	}
	if status, body := c.as(token).ask(http.MethodGet, "/hub/api/info", ""); status != http.StatusOK {
		t.Errorf("what its role gives: %d %s", status, body)
	}

	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is started again", func() bool { s, _ := c.service("writer"); return s.PID != 0 && s.PID != first.PID })
	eventually(t, "with another token", func() bool { return environment()["JUPYTERHUB_API_TOKEN"] != token })
	if status, _ := c.as(token).ask(http.MethodGet, "/hub/api/user", ""); status != http.StatusForbidden {
		t.Errorf("the token of before: %d", status)
	}
	eventually(t, "what the command had started does not go on without it", func() bool { return !alive(child) })

	second, _ := c.service("writer")
	c.rewrite(keepers + "service \"outside\" { api_token = \"0123456789abcdef\" }\n")
	eventually(t, "the service is gone", func() bool { _, status := c.service("writer"); return status == http.StatusNotFound })
	eventually(t, "and its process", func() bool { return !alive(second.PID) })
	eventually(t, "the other one is there", func() bool {
		status, body := c.as("0123456789abcdef").ask(http.MethodGet, "/hub/api/user", "")
		return status == http.StatusOK && strings.Contains(body, `"name":"outside"`)
	})
	c.rewrite(keepers + "service \"outside\" { api_token = \"fedcba9876543210\" }\n")
	eventually(t, "another token is in force, and the one before is not", func() bool {
		now, _ := c.as("fedcba9876543210").ask(http.MethodGet, "/hub/api/user", "")
		before, _ := c.as("0123456789abcdef").ask(http.MethodGet, "/hub/api/user", "")
		return now == http.StatusOK && before == http.StatusForbidden
	})
}

func TestConfigCheckNamesTheLinesOfBadServices(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a name for no address": {`service "a b" {}`, []string{`line 9: service "a b"`, "part of an address"}},
		"an odd address":        {"service \"a\" { url = \"https://h\" }", []string{"line 9", "http://host:port"}},
		"a short token":         {"service \"a\" { api_token = \"hunter2\" }", []string{"line 9", "shorter than 8"}},
		"a server's client ID":  {"service \"a\" { oauth_client_id = \"jupyterhub-user-x\" }", []string{"line 9", "begin with service-"}},
		"an unknown scope":      {"service \"a\" { oauth_client_allowed_scopes = [\"no:such\"] }", []string{"line 9", `"no:such"`}},
		"no such option":        {"service \"a\" {\n  colour = \"red\"\n}", []string{"line 10"}},
	} {
		got := check(t, entrance+"\n"+test.text+"\n")
		if got.err == nil {
			t.Errorf("%s is good", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(got.err.Error(), want) || strings.Contains(got.err.Error(), "hunter2") {
				t.Errorf("%s: %v, want %s", name, got.err, want)
			}
		}
	}
	good := check(t, entrance+"\nservice \"a\" {\n  url = \"http://10.0.0.5:9000\"\n  api_token = \"a-long-secret-token\"\n}\n")
	if good.err != nil || !strings.Contains(good.out, `service "a" {`) || strings.Contains(good.out, "a-long-secret") {
		t.Errorf("%v, and printed:\n%s", good.err, good.out)
	}
}
