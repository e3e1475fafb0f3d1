package main

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

func TestConfigCheckNamesTheLinesOfBadRoles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"a scope that does not exist": {
			"role \"staff\" {\n  scopes = [\"list:usres\"]\n}", []string{`hub.hcl, line 9: role "staff"`, `"list:usres"`},
		},
		"all of them": {
			"role \"staff\" {\n  scopes = [\"list:usres\"]\n}\nscope \"grades\" {\n  description = \"x\"\n}",
			[]string{`hub.hcl, line 9: role "staff"`, `hub.hcl, line 12: scope "grades"`},
		},
		"admin again":      {"role \"admin\" {\n  scopes = [\"self\"]\n}", []string{"line 9", "cannot be redefined"}},
		"a bad name":       {"role \"Staff\" {\n  scopes = [\"self\"]\n}", []string{"line 9", "lower-case"}},
		"nothing in it":    {"role \"staff\" {\n  users = [\"ada\"]\n}", []string{"line 9", "no scopes"}},
		"an unknown part":  {"scope \"custom:a\" {\n  description = \"x\"\n  subscopes = [\"users\"]\n}", []string{"line 9", "no custom scope"}},
		"no such option":   {"role \"staff\" {\n  scope = [\"self\"]\n}", []string{"line 10"}},
		"a nameless group": {"role \"staff\" {\n  scopes = [\"self\"]\n  groups = [\"\"]\n}", []string{"line 9", "group has no name"}},
	} {
		got := check(t, entrance+"\n"+test.text+"\n")
		if got.err == nil {
			t.Errorf("%s is good", name)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(got.err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, got.err, want)
			}
		}
	}
	const good = `
role "user" { scopes = ["self", "custom:grades:read"] }
role "admin" { groups = ["ops"] }
role "staff" { scopes = ["list:users!group=class", "custom:grades:write"] }
scope "custom:grades:read" { description = "Read grades." }
scope "custom:grades:write" {
  description = "Write grades."
  subscopes   = ["custom:grades:read"]
}
`
	got := check(t, entrance+good)
	if got.err != nil || !strings.Contains(got.out, `role "staff" {`) || !strings.Contains(got.out, `scope "custom:grades:write" {`) {
		t.Fatalf("%v, and printed:\n%s", got.err, got.out)
	}
	if again := check(t, got.out); again.err != nil || again.out != got.out {
		t.Errorf("what was printed is not the same configuration: %v", again.err)
	}
}

// TestA43_RolesOfARunningHub changes roles of a hub that runs; a token that was made before has them at its next request, and loses them again.
func TestA43_RolesOfARunningHub(t *testing.T) {
	t.Parallel()
	c := newClient(t, "", hub.User{ID: "u2", Name: "bob", Groups: []string{"class"}})
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(c.configuration+".next", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(c.configuration+".next", c.configuration); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (int, string) { return c.ask(http.MethodGet, "/hub/api/users", "") }
	if status, body := list(); status != http.StatusForbidden || !strings.Contains(body, "list:users") {
		t.Fatalf("a user without roles lists users: %d %s", status, body)
	}
	replace("role \"staff\" {\n  scopes = [\"list:users!group=class\", \"read:roles:users\"]\n  users = [\"Ada\"]\n}")
	eventually(t, "who got a role by name lists those of whom it speaks", func() bool {
		status, body := list()
		return status == http.StatusOK && strings.Contains(body, `"bob"`) && !strings.Contains(body, `"ada"`)
	})
	if _, body := c.ask(http.MethodGet, "/hub/api/users/ada", ""); !strings.Contains(strings.ReplaceAll(body, " ", ""), `"roles":["staff","user"]`) {
		t.Errorf("the role is not shown: %s", body)
	}
	replace("role \"staff\" {\n  scopes = [\"list:usres\"]\n  users = [\"ada\"]\n}") // refused: the one before stays
	if status, _ := list(); status != http.StatusOK {
		t.Errorf("a bad configuration took the role away: %d", status)
	}
	replace("")
	eventually(t, "who lost the role does not", func() bool {
		status, _ := list()
		return status == http.StatusForbidden
	})
}
