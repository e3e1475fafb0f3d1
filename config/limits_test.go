package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadTexts(t *testing.T, texts ...string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for i, text := range texts {
		path := filepath.Join(dir, string(rune('a'+i))+".hcl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return Load(Default(dir), paths, nil)
}

func TestGroupsOfLaterFilesReplaceThoseOfEarlierOnes(t *testing.T) {
	t.Parallel()
	c, err := loadTexts(t,
		"limits {\n  group \"a\" {\n    active_servers = 5\n  }\n  group \"b\" {\n    active_servers = 6\n  }\n}\n",
		"limits {\n  active_servers = 50\n}\n",
		"limits {\n  group \"b\" {\n    servers_per_user = -1\n  }\n  group \"c\" {\n    concurrent_starts = 2\n  }\n}\n",
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []GroupLimits{{Name: "a", ActiveServers: 5}, {Name: "b", ServersPerUser: -1}, {Name: "c", ConcurrentStarts: 2}}
	if diff := cmp.Diff(want, c.Limits.Groups); diff != "" || c.Limits.ActiveServers != 50 {
		t.Errorf("limits are %+v; groups differ (-want +got):\n%s", c.Limits, diff)
	}
	other := c
	limits := *c.Limits
	limits.Groups = limits.Groups[:2]
	other.Limits = &limits
	if diff := cmp.Diff([]string{"limits.group"}, Differences(c, other)); diff != "" {
		t.Error(diff)
	}
	var text strings.Builder
	if err := Describe(c).WriteHCL(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), `group "c" {`) {
		t.Error("what is in force is printed without its groups")
	}
	again, err := loadTexts(t, text.String())
	if err != nil || cmp.Diff(want, again.Limits.Groups) != "" {
		t.Errorf("what was printed is read back as %+v, %v", again.Limits, err)
	}
}

func TestLimitsThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	if _, err := loadTexts(t, "limits {\n  group \"a\" {}\n  group \"a\" {}\n}\n"); err == nil || !strings.Contains(err.Error(), "two blocks") {
		t.Errorf("a group twice in a file gives %v", err)
	}
	c, err := loadTexts(t, "limits {\n  concurrent_starts = 0\n  token_expires_in_max_seconds = -1\n  group \"a\" {\n    active_servers = -3\n  }\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Validate()
	for _, part := range []string{"limits.concurrent_starts is 0", "limits.token_expires_in_max_seconds is -1", `limits.group "a": active_servers is -3`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error %v does not say %q", err, part)
		}
	}
}
