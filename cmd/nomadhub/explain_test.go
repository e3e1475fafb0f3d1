package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	dsn := "sqlite://" + filepath.Join(t.TempDir(), "hub.db")
	if got := call(t, nil, "explain", "-dsn", dsn, "-user", "ada", "servers"); got.err == nil || !strings.Contains(got.err.Error(), "nomadhub migrate") {
		t.Errorf("an empty database: %v", got.err)
	}
	if got := call(t, nil, "migrate", "-dsn", dsn); got.err != nil {
		t.Fatal(got.err)
	}
	db := open(t, dsn)
	for _, u := range []hub.User{
		{ID: "1", Name: "ada", Groups: []string{"class-staff"}}, {ID: "2", Name: "ben", Groups: []string{"class"}}, {ID: "3", Name: "root", Admin: true},
		{ID: "4", Name: "eve", Roles: []string{"auditor"}},
	} {
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.CreateService(t.Context(), hub.Service{Name: "robot", Origin: hub.FromAPI, Admin: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := write(t, "roles.hcl", `
role "staff" {
  scopes = ["access:servers!group=class"]
  groups = ["class-staff"]
}
role "auditor" { scopes = ["read:users"] }
role "cull" {
  scopes   = ["delete:servers"]
  services = ["culler"]
}
service "culler" {
  command = ["true"]
}
`)
	for _, tt := range []struct {
		args, want string // lines apart by |
	}{
		{
			"-user Ada access:servers server=ben/lab",
			"granted: user=ada holds access:servers for server=ben/lab|  the role staff, by the group class-staff, has access:servers!group=class",
		},
		{
			"-user ada tokens user=ada",
			"granted: user=ada holds tokens for user=ada|  the role user, which everybody has, has self, which gives tokens!user=ada",
		},
		{
			"-user ada -token-scopes read:users!user tokens user=ada",
			"refused: user=ada does not hold tokens for user=ada|  the role user, which everybody has, has self, which gives tokens!user=ada|" +
				"  The token has no scope that includes tokens.|  One of these scopes would do: tokens|  Roles that hold one of them for anything: admin, user",
		},
		{
			"-user ada list:users",
			"refused: user=ada does not hold list:users for everything|  Roles and shares of user=ada give no scope that includes list:users.|" +
				"  One of these scopes would do: admin:users, list:users, users|  Roles that hold one of them for anything: admin",
		},
		{"-user root proxy", "granted: user=root holds proxy for everything|  the role admin, by being an administrator, has proxy"},
		{"-user eve read:users:name user=ben", "granted: user=eve holds read:users:name for user=ben|  the role auditor, by the last login, has read:users, which gives read:users:name"},
		{"-service culler delete:servers server=ben/", "granted: service=culler holds delete:servers for server=ben/|  the role cull, by the configuration, has delete:servers"},
		{"-service robot shutdown", "granted: service=robot holds shutdown for everything|  the role admin, by being an administrator, has shutdown"},
	} {
		got := call(t, nil, append([]string{"explain", "-dsn", dsn, "-config", file}, strings.Fields(tt.args)...)...)
		if want := strings.ReplaceAll(tt.want, "|", "\n") + "\n"; got.err != nil || got.out != want {
			t.Errorf("%s: %v\n%swant\n%s", tt.args, got.err, got.out, want)
		}
	}
	var answer scope.Answer
	got := call(t, nil, "explain", "-dsn", dsn, "-user", "root", "-json", "proxy")
	if err := json.Unmarshal([]byte(got.out), &answer); err != nil || !answer.Granted || answer.Who != "user=root" {
		t.Errorf("as JSON: %s, %v", got.out, err)
	}
	for args, want := range map[string]string{
		"servers": "about whom", "-user ada": "about whom", "-user ada -service culler servers": "about whom", "-user ada servers user=ada more": "about whom",
		"-user nobody servers": "no user named", "-service nobody servers": "no service named", "-user ada nope": `"nope"`,
		"-user ada servers ben": "is written user=NAME", "-user ada -token-scopes nope servers": `"nope"`,
	} {
		if got := call(t, nil, append([]string{"explain", "-dsn", dsn}, strings.Fields(args)...)...); got.err == nil || !strings.Contains(got.err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, got.err, want)
		}
	}
}
