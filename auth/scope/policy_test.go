package scope

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func newPolicy(t testing.TB, roles []Role, custom ...Custom) *Policy {
	t.Helper()
	p, err := NewPolicy(roles, custom)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// school is a policy with everything in it.
func school(t testing.TB) *Policy {
	return newPolicy(t, []Role{
		{Name: "user", Scopes: []string{"self", "custom:grades:read!user"}, Description: "What everybody may do here."},
		{Name: "admin", Groups: []string{"ops"}},
		{Name: "staff", Scopes: []string{"list:users!group=class", "access:servers!group=class"}, Groups: []string{"staff"}, Users: []string{"dora"}},
		{Name: "grader", Scopes: []string{"custom:grades"}, Services: []string{"grader"}, Users: []string{"dora"}},
		{Name: "culler", Scopes: []string{"list:users", "read:users:activity", "read:servers", "delete:servers"}, Services: []string{"culler"}},
	}, Custom{Name: "custom:grades", Description: "Grades.", Includes: []string{"custom:grades:read"}}, Custom{Name: "custom:grades:read", Description: "Read grades."})
}

func TestPolicyOfUsers(t *testing.T) {
	t.Parallel()
	p := school(t)
	own := strings.Join(newPolicy(t, nil).OfUser(Holder{Name: "x"}).Names(), " ") + " custom:grades:read!user=x"
	for _, tt := range []struct {
		holder Holder
		roles  string // their own
		more   string // beside what everybody has
	}{
		{Holder{}, "user", ""},
		{Holder{Groups: []string{"class", "other"}}, "user", ""},
		{Holder{Groups: []string{"staff"}}, "user", "access:servers!group=class list:users!group=class read:users:name!group=class"},
		{Holder{Roles: []string{"grader", "gone", "admin"}}, "grader user", "custom:grades custom:grades:read"},
		{Holder{Shared: []string{"access:servers!server=y/"}}, "user", "access:servers!server=y/"},
		{Holder{Shared: []string{"access:servers!server=y/"}, Groups: []string{"staff"}}, "user", "access:servers!group=class access:servers!server=y/ list:users!group=class read:users:name!group=class"},
	} {
		tt.holder.Name = "x"
		want := Expand(nil, Owner{})
		want = Union(want, p.Expand(strings.Fields(own), Owner{User: "x"}), p.Expand(strings.Fields(tt.more), Owner{User: "x"}))
		if diff := cmp.Diff(want.Names(), p.OfUser(tt.holder).Names()); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.holder, diff)
		}
		if got := strings.Join(p.RolesOfUser(tt.holder), " "); got != tt.roles {
			t.Errorf("%+v has the roles %s, want %s", tt.holder, got, tt.roles)
		}
	}
	dora := Holder{Name: "dora"}
	if got := strings.Join(p.RolesOfUser(dora), " "); got != "grader staff user" {
		t.Errorf("dora has %s", got)
	}
	if set := p.OfUser(dora); !set.Has("custom:grades", User("x")) || !set.Has("list:users", User("x", "class")) || !set.Has("servers", Server("dora", "")) {
		t.Errorf("dora: %v", set.Names())
	}
}

// A custom scope is no part of the hub's own, in either direction.
func TestCustomScopesAreApart(t *testing.T) {
	t.Parallel()
	p := school(t)
	for _, holder := range []Holder{{Name: "root", Admin: true}, {Name: "x", Groups: []string{"ops"}}} {
		set := p.OfUser(holder)
		if len(Excess(AdminScopes(), set, nil)) != 0 {
			t.Errorf("%+v is no administrator: %v", holder, set.Names())
		}
		if set.Has("custom:grades", Object{}) || set.Has("custom:grades:read", Object{}) {
			t.Errorf("%+v holds custom scopes that nobody gave", holder)
		}
	}
	for name := range p.All() {
		isCustom := strings.HasPrefix(name, "custom:")
		for _, sub := range p.words.included[name] {
			if strings.HasPrefix(sub, "custom:") != isCustom {
				t.Errorf("%s includes %s", name, sub)
			}
		}
		if p.Describe(name) == "" {
			t.Errorf("%s has no description", name)
		}
	}
	if _, err := p.Parse("custom:grades!group=class"); err != nil {
		t.Error(err)
	}
	if _, err := Parse("custom:grades"); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a policy: %v", err)
	}
	if got := strings.Join(p.Including("custom:grades:read"), " "); got != "custom:grades custom:grades:read" {
		t.Errorf("custom:grades:read is included by %s", got)
	}
}

func TestPolicyOfServicesAndGroups(t *testing.T) {
	t.Parallel()
	p := school(t)
	for _, tt := range []struct {
		name        string
		admin       bool
		roles, want string
	}{
		{"culler", false, "culler", "delete:servers list:users read:servers read:users:activity read:users:name"},
		{"grader", false, "grader", "custom:grades custom:grades:read"},
		{"other", false, "", ""},
		{"staff", false, "", ""}, // a group's name is no service's
	} {
		if got := strings.Join(p.OfService(tt.name, tt.admin).Names(), " "); got != tt.want {
			t.Errorf("%s: %s", tt.name, got)
		}
		if got := strings.Join(p.RolesOfService(tt.name, tt.admin), " "); got != tt.roles {
			t.Errorf("%s has the roles %s", tt.name, got)
		}
	}
	if got := strings.Join(p.RolesOfService("grader", true), " "); got != "admin grader" || !p.OfService("grader", true).Has("shutdown", Object{}) {
		t.Errorf("an administrator among services has %s", got)
	}
	if got := p.RolesOfGroup("staff"); !slices.Equal(got, []string{"staff"}) || p.RolesOfGroup("none") != nil {
		t.Errorf("the group staff has %v", got)
	}
}

func TestNewPolicyFaults(t *testing.T) {
	t.Parallel()
	long := "a" + strings.Repeat("b", 255)
	for _, tt := range []struct {
		roles  []Role
		custom []Custom
		want   string // words of the reasons, in order
	}{
		{[]Role{{Name: "ok-_~.1", Scopes: []string{"self"}}, {Name: long[:255], Scopes: []string{"self"}}}, nil, ""},
		{[]Role{{Name: "admin", Groups: []string{"g"}, Description: "x"}, {Name: "server", Scopes: []string{"self"}}, {Name: "token", Scopes: []string{"inherit"}}}, nil, ""},
		{[]Role{{Name: "ab", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "Abc", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "1bc", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "ab-", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "äbc", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "a bc", Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: long, Scopes: []string{"self"}}}, nil, "letters"},
		{[]Role{{Name: "abc"}}, nil, "no scopes"},
		{[]Role{{Name: "abc", Scopes: []string{"self", "nope"}}}, nil, `"nope"`},
		{[]Role{{Name: "abc", Scopes: []string{"custom:x"}}}, nil, `"custom:x"`},
		{[]Role{{Name: "abc", Scopes: []string{"inherit"}}}, nil, "inherit"},
		{[]Role{{Name: "user", Scopes: []string{"inherit"}}}, nil, "inherit"},
		{[]Role{{Name: "abc", Scopes: []string{"self"}}, {Name: "abc", Scopes: []string{"self"}}}, nil, "two roles"},
		{[]Role{{Name: "abc", Scopes: []string{"self"}, Users: []string{""}}}, nil, "no name"},
		{[]Role{{Name: "admin", Scopes: []string{"self"}}}, nil, "redefined"},
		{[]Role{{Name: "admin", Users: []string{"eve"}}}, nil, "redefined"},
		{[]Role{{Name: "admin", Services: []string{"s"}}}, nil, "redefined"},
		{nil, []Custom{{Name: "custom:a:b_c*1", Description: "x"}, {Name: "custom:0*", Description: "x", Includes: []string{"custom:a:b_c*1"}}}, ""},
		{nil, []Custom{{Name: "custom:", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "grades", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:A", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:-a", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:a-", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:a:", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:a!user=x", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:a b", Description: "x"}}, "named custom:"},
		{nil, []Custom{{Name: "custom:a"}}, "description"},
		{nil, []Custom{{Name: "custom:a", Description: "x"}, {Name: "custom:a", Description: "x"}}, "two scopes"},
		{nil, []Custom{{Name: "custom:a", Description: "x", Includes: []string{"users"}}}, "no custom scope"},
		{nil, []Custom{{Name: "custom:a", Description: "x", Includes: []string{"custom:b"}}}, "no custom scope"},
		{[]Role{{Name: "x"}, {Name: "abc"}}, []Custom{{Name: "custom:a"}}, "description letters no.scopes"},
	} {
		_, err := NewPolicy(tt.roles, tt.custom)
		faults, _ := errors.AsType[PolicyErrors](err)
		words := strings.Fields(tt.want)
		if strings.Contains(tt.want, " ") && len(faults) == 1 {
			words = []string{tt.want}
		}
		if len(faults) != len(words) {
			t.Errorf("%v %v: %v, want %d faults", tt.roles, tt.custom, err, len(words))
			continue
		}
		for i, f := range faults {
			if !strings.Contains(f.Reason, strings.ReplaceAll(words[i], ".", " ")) {
				t.Errorf("%s, want %s", f.Reason, words[i])
			}
		}
	}
}

// Scopes of one's own that include each other in a circle are no trouble.
func TestCustomScopesInACircle(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, nil, Custom{"custom:a", "A.", []string{"custom:b"}}, Custom{"custom:b", "B.", []string{"custom:a", "custom:b"}})
	if got := strings.Join(p.Expand([]string{"custom:b"}, Owner{}).Names(), " "); got != "custom:a custom:b" {
		t.Error(got)
	}
}

func TestServerTokenFollowsItsRole(t *testing.T) {
	t.Parallel()
	want := []string{"users:activity!user", "access:servers!server=alice/lab"}
	if diff := cmp.Diff(want, Standard().ServerToken("alice", "lab")); diff != "" {
		t.Error(diff)
	}
	p := newPolicy(t, []Role{{Name: RoleServer, Scopes: []string{"access:servers!server", "read:users!user", "shares!server"}}})
	want = []string{"users:activity!user", "access:servers!server=alice/lab", "read:users!user", "shares!server=alice/lab"}
	if diff := cmp.Diff(want, p.ServerToken("alice", "lab")); diff != "" {
		t.Error(diff)
	}
}

func TestRolesAreListed(t *testing.T) {
	t.Parallel()
	p := school(t)
	var names []string
	for _, r := range p.Roles() {
		names = append(names, r.Name)
		if found, ok := p.Role(r.Name); !ok || !cmp.Equal(found, r) {
			t.Errorf("%s is found as %+v", r.Name, found)
		}
	}
	if got := strings.Join(names, " "); got != "admin culler grader server staff token user" {
		t.Error(got)
	}
	if r, _ := p.Role(RoleUser); r.Description != "What everybody may do here." || len(r.Scopes) != 2 {
		t.Errorf("%+v", r)
	}
	if r, _ := p.Role(RoleAdmin); r.Description != "Everything." || len(r.Scopes) != 16 {
		t.Errorf("%+v", r)
	}
	standard := maps.Collect(All())
	if diff := cmp.Diff(standard, maps.Collect(Standard().All()), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// What a policy remembers is bounded, and many may ask it at once.
func TestPolicyRemembersWithinBounds(t *testing.T) {
	t.Parallel()
	var roles []Role
	for c := 'a'; c < 'a'+14; c++ {
		roles = append(roles, Role{Name: "role" + string(c), Scopes: []string{"read:users!user=" + string(c)}})
	}
	p := newPolicy(t, roles)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for mask := range 1 << 13 {
				h := Holder{Name: "x"}
				for i, r := range roles {
					if (mask*2+worker%2)>>i&1 == 1 {
						h.Roles = append(h.Roles, r.Name)
					}
				}
				set := p.OfUser(h)
				for i, r := range roles {
					if has := set.Has("read:users", User(string(rune('a'+i)))); has != slices.Contains(h.Roles, r.Name) {
						t.Errorf("%v: %s is %t", h.Roles, r.Name, has)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if n := p.kept.Load(); n < maxCombined || n > maxCombined+4 {
		t.Errorf("the policy remembers %d combinations", n)
	}
}

// BenchmarkOfUser is what every request pays for the scopes of its user.
func BenchmarkOfUser(b *testing.B) {
	p := school(b)
	for name, h := range map[string]Holder{
		"user": {Name: "x", Groups: []string{"class"}}, "admin": {Name: "x", Admin: true},
		"staff": {Name: "x", Groups: []string{"class", "staff"}}, "shared": {Name: "x", Shared: []string{"access:servers!server=y/"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.OfUser(h)
			}
		})
	}
}
