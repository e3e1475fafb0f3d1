package scope

import (
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
