package scope

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A small world, so that random scopes meet.
var (
	fuzzNames  = []string{"self", "inherit", "users", "servers", "access:servers", "shares", "list:users", "admin:groups", "none"}
	fuzzLimits = []string{
		"", "!user", "!server", "!service", "!group", "!user=alice", "!user=bob", "!group=class", "!group=staff",
		"!server=alice/", "!server=bob/a/b", "!service=s", "!server=bob", "!user=",
	}
	fuzzObjects = []Object{
		{}, User("alice", groups("alice")...), User("bob", groups("bob")...), User("eve"), Group("class"), Group("staff"), Service("s"),
		Server("alice", "", groups("alice")...), Server("bob", "a/b", groups("bob")...), Server("eve", "x"),
	}
	fuzzOwners = []Owner{
		{}, {User: "alice"}, {User: "bob", ClientServer: "alice/"}, {Service: "s"}, {User: "alice", ClientService: "s"},
	}
)

func fuzzScopes(code []byte) []string {
	var raw []string
	for pair := range slices.Chunk(code, 2) {
		if len(pair) == 2 {
			raw = append(raw, fuzzNames[int(pair[0])%len(fuzzNames)]+fuzzLimits[int(pair[1])%len(fuzzLimits)])
		}
	}
	return raw
}

func FuzzSets(f *testing.F) {
	f.Add([]byte{0, 0}, []byte{2, 0}, uint8(1))
	f.Add([]byte{3, 5, 4, 7}, []byte{4, 9, 5, 0}, uint8(2))
	f.Fuzz(func(t *testing.T, codeA, codeB []byte, owner uint8) {
		o := fuzzOwners[int(owner)%len(fuzzOwners)]
		rawA, rawB := fuzzScopes(codeA), fuzzScopes(codeB)
		a, b := Expand(rawA, o), Expand(rawB, o)
		both, either := Intersect(a, b, groups), Union(a, b)
		for name := range All() {
			for _, object := range fuzzObjects {
				inA, inB := a.Has(name, object), b.Has(name, object)
				if both.Has(name, object) && (!inA || !inB) {
					t.Errorf("%v ∩ %v grants %s for %+v", rawA, rawB, name, object)
				}
				if either.Has(name, object) != (inA || inB) {
					t.Errorf("%v ∪ %v is wrong about %s for %+v", rawA, rawB, name, object)
				}
			}
		}
		if diff := cmp.Diff(a.Names(), Expand(a.Names(), Owner{}).Names()); diff != "" {
			t.Errorf("%v: expanding twice differs: %s", rawA, diff)
		}
		if !Intersect(b, a, groups).Equal(both) || !Intersect(a, a, groups).Equal(a) {
			t.Errorf("%v ∩ %v depends on the order, or a ∩ a is not a", rawA, rawB)
		}
		if excess := Excess(both, a, groups); len(excess) != 0 {
			t.Errorf("%v ∩ %v exceeds the former by %v", rawA, rawB, excess)
		}
		granted, _ := Standard().Narrow(rawA, b, o, groups)
		granted = slices.DeleteFunc(granted, func(raw string) bool { return raw == Inherit })
		if excess := Excess(Expand(granted, o), b, groups); len(excess) != 0 {
			t.Errorf("%v narrowed to %v exceeds it by %v", rawA, rawB, excess)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, limit := range fuzzLimits {
		f.Add("users" + limit)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := Parse(raw)
		if err == nil && s.String() != raw {
			t.Errorf("%q becomes %q", raw, s.String())
		}
		if err != nil && !Expand([]string{raw}, Owner{User: "u", Service: "s", ClientServer: "u/"}).Empty() {
			t.Errorf("%q is invalid and allows something", raw)
		}
	})
}

// FuzzPolicy holds what a policy answers against what its parts say: a user has what one of their roles, groups or shares gives, a token what both it and its
// owner have, and an explanation says the same as the set.
func FuzzPolicy(f *testing.F) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(definitions)), func(name string) bool { return name == Self || name == Inherit })
	names = append(names, "custom:x", "custom:y")
	for i := range names {
		f.Add([]byte{1, 2, 3, 4}, []byte{4, 5}, []byte{6, 7}, uint8(5), uint8(3), uint8(i))
		f.Add([]byte{3, 5, 4, 7}, []byte{4, 9, 5, 0}, []byte{byte(i), byte(i / 2)}, uint8(i), uint8(i), uint8(i))
	}
	f.Fuzz(func(t *testing.T, codeA, codeB, codeToken []byte, holds, who, about uint8) {
		rolesOf := func(name string, code []byte) Role {
			raw := slices.DeleteFunc(fuzzScopes(code), func(r string) bool { return builtIn.validate([]string{r}) != nil || r == Inherit })
			return Role{Name: name, Scopes: append(raw, "custom:x!user")}
		}
		a, b := rolesOf("role-a", codeA), rolesOf("role-b", codeB)
		if holds&1 != 0 {
			a.Users = []string{"alice"}
		}
		if holds&2 != 0 {
			b.Groups = []string{"class"}
		}
		p := newPolicy(t, []Role{a, b}, Custom{"custom:x", "X.", []string{"custom:y"}}, Custom{Name: "custom:y", Description: "Y."})
		h := Holder{Name: []string{"alice", "bob", "eve"}[int(who)%3], Admin: holds&4 != 0}
		h.Groups = groups(h.Name)
		if holds&8 != 0 {
			h.Roles = []string{"role-b", "gone"}
		}
		if holds&16 != 0 {
			h.Shared = []string{"access:servers!server=bob/a/b"}
		}
		var raw []string
		for _, name := range p.allRoles(h) {
			r, _ := p.Role(name)
			raw = append(raw, r.Scopes...)
		}
		held := p.OfUser(h)
		if want := p.Expand(append(raw, h.Shared...), Owner{User: h.Name}); !held.Equal(want) {
			t.Errorf("%+v has %v, want %v", h, held.Names(), want.Names())
		}
		token := fuzzScopes(codeToken)
		o := Owner{User: h.Name}
		effective := p.Effective(token, o, held, groups)
		if excess := Excess(effective, held, groups); len(excess) != 0 {
			t.Errorf("the token %v exceeds its owner by %v", token, excess)
		}
		if !p.Expand(effective.Names(), o).Equal(effective) || !p.Expand(held.Names(), Owner{}).Equal(held) {
			t.Errorf("expanding twice differs: %v", effective.Names())
		}
		name := names[int(about)%len(names)]
		for _, object := range fuzzObjects {
			q := Question{User: h, Scope: name, On: object, Groups: groups}
			agrees(t, p, q, held.Has(name, object))
			q.Token = append([]string{}, token...)
			agrees(t, p, q, effective.Has(name, object))
		}
	})
}

// agrees checks an explanation against what the set says.
func agrees(t *testing.T, p *Policy, q Question, want bool) {
	t.Helper()
	a, err := p.Explain(q)
	if err != nil {
		t.Fatal(err)
	}
	token := slices.ContainsFunc(a.Because, func(c Cause) bool { return c.Source == FromToken })
	owner := slices.ContainsFunc(a.Because, func(c Cause) bool { return c.Source != FromToken })
	if a.Granted != want || a.Granted != (len(a.Refused) == 0) || a.Granted && (!owner || token != (q.Token != nil)) {
		t.Errorf("%+v: the set says %t, the explanation %+v", q, want, a)
	}
	for _, c := range a.Because {
		if !p.Expand([]string{c.Gives}, Owner{}).Has(q.Scope, q.On) && c.Gives != Inherit {
			t.Errorf("%+v does not cover %s for %s", c, q.Scope, q.On)
		}
	}
}
