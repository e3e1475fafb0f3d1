package scope

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		raw  string
		want Scope
	}{
		{"read:users", Scope{Name: "read:users"}},
		{"self", Scope{Name: "self"}},
		{"users!user=alice", Scope{"users", ByUser, "alice"}},
		{"users!user", Scope{"users", ByUser, ""}},
		{"users!group=a=b", Scope{"users", ByGroup, "a=b"}},
		{"users!user=we!rd=name @x", Scope{"users", ByUser, "we!rd=name @x"}},
		{"access:servers!server=alice/", Scope{"access:servers", ByServer, "alice/"}},
		{"access:servers!server=alice/a/b!c", Scope{"access:servers", ByServer, "alice/a/b!c"}},
		{"access:servers!server", Scope{"access:servers", ByServer, ""}},
		{"access:services!service=s", Scope{"access:services", ByService, "s"}},
		{"access:services!service", Scope{"access:services", ByService, ""}},
	} {
		got, err := Parse(tt.raw)
		if err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v", tt.raw, got, err)
		}
		if got.String() != tt.raw {
			t.Errorf("Parse(%q).String() = %q", tt.raw, got)
		}
	}
	for _, raw := range []string{
		"", "nothing", "Users", "users ", "users!", "users!=", "users!user=", "users!group", "users!group=", "users!name=x",
		"users!server=alice", "users!server=/x", "self!user=alice", "inherit!user", "read:users:name:x", "!user=x",
	} {
		if _, err := Parse(raw); !errors.Is(err, ErrInvalid) {
			t.Errorf("Parse(%q): %v, want ErrInvalid", raw, err)
		}
	}
	if err := Validate([]string{"self", "users!user=a"}); err != nil {
		t.Error(err)
	}
	if err := Validate([]string{"self", "usres"}); err == nil || !strings.Contains(err.Error(), `"usres"`) {
		t.Errorf("Validate: %v", err)
	}
}

func TestTableIsWhole(t *testing.T) {
	t.Parallel()
	for name, d := range definitions {
		if d.text == "" {
			t.Errorf("%s has no text", name)
		}
		for _, sub := range d.includes {
			if !builtIn.known(sub) {
				t.Errorf("%s includes %s, which does not exist", name, sub)
			}
		}
	}
	listed := maps.Collect(All())
	if len(listed) != len(definitions) || listed["shutdown"] != Describe("shutdown") {
		t.Errorf("All lists %d of %d", len(listed), len(definitions))
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	alice := Owner{User: "alice"}
	for _, tt := range []struct {
		name  string
		raw   []string
		owner Owner
		want  string // space separated
	}{
		{"nothing", nil, alice, ""},
		{"the unknown allows nothing", []string{"root", "users!name=x", "users!"}, alice, ""},
		{"alone", []string{"shutdown"}, alice, "shutdown"},
		{"list:users", []string{"list:users"}, alice, "list:users read:users:name"},
		{"read:users", []string{"read:users"}, alice, "read:users read:users:activity read:users:groups read:users:name"},
		{
			"users",
			[]string{"users"},
			alice, "list:users read:users read:users:activity read:users:groups read:users:name users users:activity",
		},
		{
			"admin:users", []string{"admin:users"}, alice,
			"admin:auth_state admin:users delete:users list:users read:roles:users read:users read:users:activity read:users:groups read:users:name users users:activity",
		},
		{
			"admin:servers with 6.0's part",
			[]string{"admin:servers"},
			alice, "admin:server_state admin:servers delete:servers read:servers read:users:name servers start:servers",
		},
		{"tokens", []string{"tokens"}, alice, "read:tokens tokens"},
		{
			"admin:groups",
			[]string{"admin:groups"},
			alice, "admin:groups delete:groups groups list:groups read:groups read:groups:name read:roles:groups",
		},
		{
			"admin:services",
			[]string{"admin:services"},
			alice, "admin:services list:services read:roles:services read:services read:services:name",
		},
		{"read:roles", []string{"read:roles"}, alice, "read:roles read:roles:groups read:roles:services read:roles:users"},
		{
			"shares",
			[]string{"shares"},
			alice, "access:servers groups:shares read:groups:shares read:shares read:users:shares shares users:shares",
		},
		{
			"the limit goes to the parts",
			[]string{"list:users!group=g"},
			alice, "list:users!group=g read:users:name!group=g",
		},
		{
			"a server's limit reveals no user",
			[]string{"servers!server=bob/x"},
			alice, "delete:servers!server=bob/x read:servers!server=bob/x servers!server=bob/x start:servers!server=bob/x",
		},
		{"nor by asking outright", []string{"read:users:name!server=bob/"}, alice, ""},
		{"unlimited swallows limited", []string{"tokens!user=bob", "tokens", "tokens!user"}, alice, "read:tokens tokens"},
		{
			"limits add up", []string{"access:servers!user=a", "access:servers!group=g"}, alice,
			"access:servers!group=g access:servers!user=a",
		},
		{"own", []string{"users:activity!user"}, alice, "read:users:activity!user=alice users:activity!user=alice"},
		{"own, of a service", []string{"users:activity!user"}, Owner{Service: "s"}, ""},
		{"own service", []string{"access:services!service"}, Owner{Service: "s"}, "access:services!service=s"},
		{
			"the client's service goes before the owner",
			[]string{"access:services!service"},
			Owner{Service: "s", ClientService: "c"}, "access:services!service=c",
		},
		{"the client's service for a user", []string{"access:services!service"}, Owner{User: "a", ClientService: "c"}, "access:services!service=c"},
		{"no service", []string{"access:services!service"}, alice, ""},
		{"the client's server", []string{"access:servers!server"}, Owner{User: "a", ClientServer: "b/x"}, "access:servers!server=b/x"},
		{"no server", []string{"access:servers!server"}, alice, ""},
		{"inherit is not ours to know", []string{"inherit"}, alice, ""},
		{"self of a service", []string{"self"}, Owner{Service: "s"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(Expand(tt.raw, tt.owner).Names(), " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSelf(t *testing.T) {
	t.Parallel()
	want := []string{
		"access:servers", "delete:servers", "read:servers", "read:shares", "read:tokens", "read:users", "read:users:activity",
		"read:users:groups", "read:users:name", "read:users:shares", "servers", "start:servers", "tokens", "users:activity", "users:shares",
	}
	for i := range want {
		want[i] += "!user=alice"
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, ofUser("alice", false).Names()); diff != "" {
		t.Error(diff)
	}
}

func TestAdminMayDoEverything(t *testing.T) {
	t.Parallel()
	admin := ofUser("root", true)
	n := 0
	for name := range All() {
		if name == Self || name == Inherit {
			continue
		}
		n++
		if !admin.Has(name, Object{}) {
			t.Errorf("not %s", name)
		}
	}
	if names := admin.Names(); n != 45 || len(names) != 45 {
		t.Errorf("%d scopes exist and %d are the admin's, want 45", n, len(names))
	}
}

func TestHas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		held string
		o    Object
		want bool
	}{
		{"servers", Object{}, true},
		{"servers", User("u"), true},
		{"servers", Server("u", "s"), true},
		{"servers", Group("g"), true},
		{"servers", Service("s"), true},
		// A limited scope does not cover what has no object: creating users with admin:users!group=x was a way to become admin.
		{"servers!user=u", Object{}, false},
		{"servers!group=g", Object{}, false},
		{"servers!user=u", User("u"), true},
		{"servers!user=u", User("U"), false},
		{"servers!user=u", Server("u", ""), true},
		{"servers!user=u", Server("u", "a/b"), true},
		{"servers!user=u", Server("uu", ""), false},
		{"servers!user=u", Group("u"), false},
		{"servers!user=u", Service("u"), false},
		{"servers!group=g", User("u", "f", "g"), true},
		{"servers!group=g", User("u", "f"), false},
		{"servers!group=g", User("g"), false},
		{"servers!group=g", Server("u", "s", "g"), true},
		{"servers!group=g", Server("u", "s"), false},
		{"servers!group=g", Group("g"), true},
		{"servers!group=g", Group("h"), false},
		{"servers!server=u/s", Server("u", "s"), true},
		{"servers!server=u/s", Server("u", ""), false},
		{"servers!server=u/", Server("u", ""), true},
		{"servers!server=u/s", User("u"), false},
		{"servers!server=u/s/t", Server("u", "s/t"), true},
		{"servers!service=s", Service("s"), true},
		{"servers!service=s", User("s"), false},
		{"tokens", User("u"), false},
	} {
		set := Expand([]string{tt.held}, Owner{})
		if got := set.Has("servers", tt.o); got != tt.want {
			t.Errorf("%s has servers for %+v: %t", tt.held, tt.o, got)
		}
		if got := set.Filter("servers").Covers(tt.o); got != tt.want {
			t.Errorf("%s covers %+v: %t", tt.held, tt.o, got)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	set := Expand([]string{"list:users!user=b", "list:users!user=a", "list:users!group=g", "servers!server=a/x", "shutdown"}, Owner{})
	users := set.Filter("list:users")
	if users.All() || users.Empty() {
		t.Error("a limited scope holds everywhere or nowhere")
	}
	if diff := cmp.Diff([]string{"a", "b"}, users.Names(ByUser)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"g"}, users.Names(ByGroup)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a/x"}, set.Filter("servers").Names(ByServer)); diff != "" {
		t.Error(diff)
	}
	if !set.Filter("shutdown").All() || !set.Filter("proxy").Empty() || !(Filter{}).Empty() {
		t.Error("everywhere or nowhere is wrong")
	}
}

func ofUser(name string, admin bool) Set { return Standard().OfUser(Holder{Name: name, Admin: admin}) }

func groups(user string) []string {
	return map[string][]string{"alice": {"class"}, "bob": {"class", "staff"}}[user]
}

func TestIntersect(t *testing.T) {
	t.Parallel()
	const s = "access:servers"
	for _, tt := range []struct{ a, b, want string }{
		{s, s, s},
		{s, s + "!user=u", s + "!user=u"},
		{s, s + "!server=u/ " + s + "!group=g", s + "!group=g " + s + "!server=u/"},
		{s + "!user=u", s + "!user=u", s + "!user=u"},
		{s + "!user=u", s + "!user=v", ""},
		{s + "!group=g", s + "!group=g", s + "!group=g"},
		{s + "!group=class", s + "!group=staff", ""},
		{s + "!server=u/s", s + "!user=u", s + "!server=u/s"},
		{s + "!server=u/s", s + "!server=u/s", s + "!server=u/s"},
		{s + "!server=u/s", s + "!server=u/", ""},
		{s + "!server=u/s", s + "!user=v", ""},
		{s + "!server=alice/s", s + "!group=class", s + "!server=alice/s"},
		{s + "!server=alice/s", s + "!group=staff", ""},
		{s + "!user=bob", s + "!group=staff", s + "!user=bob"},
		{s + "!user=alice", s + "!group=staff", ""},
		{s + "!service=x", s + "!user=x", ""},
		{s + "!user=a " + s + "!server=b/", s + "!user=b " + s + "!server=a/", s + "!server=a/ " + s + "!server=b/"},
		{s, "shutdown", ""},
		{s, "", ""},
	} {
		a, b := Expand(strings.Fields(tt.a), Owner{}), Expand(strings.Fields(tt.b), Owner{})
		for range 2 { // it does not matter which is which
			if got := strings.Join(Intersect(a, b, groups).Names(), " "); got != tt.want {
				t.Errorf("%v ∩ %v = %q, want %q", a.Names(), b.Names(), got, tt.want)
			}
			a, b = b, a
		}
	}
	if !Intersect(Expand([]string{s + "!user=alice"}, Owner{}), Expand([]string{s + "!group=class"}, Owner{}), nil).Empty() {
		t.Error("somebody is in a group although nobody says so")
	}
}

func TestUnion(t *testing.T) {
	t.Parallel()
	got := Union(ofUser("a", false), Set{}, Expand([]string{"access:servers!server=b/", "tokens"}, Owner{}))
	if !got.Has("access:servers", Server("b", "")) || !got.Has("tokens", User("c")) || !got.Has("servers", User("a")) || got.Has("servers", User("c")) {
		t.Errorf("%v", got.Names())
	}
	if slices.Contains(got.Names(), "tokens!user=a") {
		t.Error("a swallowed scope is listed")
	}
	if !ofUser("a", false).Equal(Expand([]string{"self"}, Owner{User: "a"})) || got.Equal(ofUser("a", false)) {
		t.Error("Equal is wrong")
	}
	if names := (Set{}).Names(); names == nil || len(names) != 0 || !(Set{}).Empty() {
		t.Errorf("names of nothing: %v", names)
	}
}

func TestExcess(t *testing.T) {
	t.Parallel()
	alice := ofUser("alice", false)
	for raw, want := range map[string]string{
		"self":                         "",
		"tokens!user":                  "",
		"access:servers!server=alice/": "",
		"read:tokens":                  "read:tokens",
		"read:users:name!group=class":  "read:users:name!group=class",
		"shutdown":                     "shutdown",
		"access:servers!user=bob":      "access:servers!user=bob",
	} {
		got := strings.Join(Excess(Expand([]string{raw}, Owner{User: "alice"}), alice, groups), " ")
		if got != want {
			t.Errorf("%s exceeds what alice has by %q, want %q", raw, got, want)
		}
	}
}
