package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const staffRole = `
role "staff" {
  description = "Look after a class."
  scopes      = ["list:users!group=class"]
  users       = ["ada"]
  groups      = ["class-staff"]
  services    = ["grader"]
}
scope "custom:grades:read" {
  description = "Read grades."
}
`

func TestRolesOfLaterFilesReplaceThoseOfEarlierOnes(t *testing.T) {
	t.Parallel()
	c, err := loadTexts(t, staffRole, `
role "auditor" { scopes = ["read:users"] }
role "staff" { scopes = ["admin-ui"] }
scope "custom:grades:write" {
  description = "Write grades."
  subscopes   = ["custom:grades:read"]
}
`)
	if err != nil {
		t.Fatal(err)
	}
	roles := []Role{{Name: "staff", Scopes: []string{"admin-ui"}}, {Name: "auditor", Scopes: []string{"read:users"}}}
	if diff := cmp.Diff(roles, c.Roles, cmpopts.IgnoreFields(Role{}, "At")); diff != "" {
		t.Errorf("roles differ (-want +got):\n%s", diff)
	}
	scopes := []Scope{
		{Name: "custom:grades:read", Description: "Read grades."},
		{Name: "custom:grades:write", Description: "Write grades.", Subscopes: []string{"custom:grades:read"}},
	}
	if diff := cmp.Diff(scopes, c.Scopes, cmpopts.IgnoreFields(Scope{}, "At")); diff != "" {
		t.Errorf("scopes differ (-want +got):\n%s", diff)
	}
	if where := Where(c.Roles[0].At); filepath.Base(where) != "b.hcl, line 3" {
		t.Errorf("the role stands at %s", where)
	}
}

func TestTwoRolesOfOneNameInOneFile(t *testing.T) {
	t.Parallel()
	for what, text := range map[string]string{
		`two blocks role have the name "a"`:  "role \"a\" {\n}\nrole \"a\" {\n}\n",
		`two blocks scope have the name "b"`: "scope \"b\" {\n  description = \"x\"\n}\nscope \"b\" {\n  description = \"x\"\n}\n",
		`"description" is required`:          "scope \"b\" {\n}\n",
		`named "scope"`:                      "role \"a\" {\n  scope = [\"self\"]\n}\n",
	} {
		if _, err := loadTexts(t, text); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v, want %s", text, err, what)
		}
	}
}

// What is moved to another line is no other configuration.
func TestDifferencesOfRoles(t *testing.T) {
	t.Parallel()
	load := func(text string) Config {
		c, err := loadTexts(t, text)
		if err != nil {
			t.Fatal(err)
		}
		c.Database, c.Secrets, c.Local = nil, nil, nil // have the directory in them
		return c
	}
	before := load(staffRole)
	for text, want := range map[string][]string{
		"\n\n" + staffRole: nil,
		"":                 {"role.staff", "scope.custom:grades:read"},
		strings.Replace(staffRole, `"ada"`, `"eve"`, 1):                  {"role.staff"},
		strings.Replace(staffRole, "Read grades.", "See grades.", 1):     {"scope.custom:grades:read"},
		staffRole + "role \"other\" {\n  scopes = [\"read:users\"]\n}\n": {"role.other"},
	} {
		if diff := cmp.Diff(want, Differences(before, load(text)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\ndiffers (-want +got):\n%s", text, diff)
		}
	}
}
