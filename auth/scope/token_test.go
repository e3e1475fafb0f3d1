package scope

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The tokens of section 2.4 of the protocol: what a server learns when it asks who its visitor is.
func TestEffective(t *testing.T) {
	t.Parallel()
	alice := ofUser("alice", false)
	shared := Union(alice, Expand([]string{"access:servers!server=bob/"}, Owner{}))
	teacher := Union(alice, Expand([]string{"access:servers!group=class"}, Owner{}))
	for _, tt := range []struct {
		name string
		raw  []string
		o    Owner
		held Set
		want string
	}{
		{
			"browser's token for the own server",
			nil, Owner{User: "alice", ClientServer: "alice/"},
			alice, "access:servers!server=alice/ read:users:groups!user=alice read:users:name!user=alice",
		},
		{
			"browser's token for a shared server",
			nil, Owner{User: "alice", ClientServer: "bob/"},
			shared, "access:servers!server=bob/ read:users:groups!user=alice read:users:name!user=alice",
		},
		{ // the server cannot resolve groups, so it must be told the server
			"access by group is told as access to the server",
			nil, Owner{User: "alice", ClientServer: "bob/"},
			teacher, "access:servers!server=bob/ read:users:groups!user=alice read:users:name!user=alice",
		},
		{
			"browser's token after access was withdrawn",
			nil, Owner{User: "alice", ClientServer: "bob/"},
			alice, "read:users:groups!user=alice read:users:name!user=alice",
		},
		{
			"server's own token",
			Standard().ServerToken("alice", ""), Owner{User: "alice"},
			alice, "access:servers!server=alice/ read:users:activity!user=alice read:users:groups!user=alice read:users:name!user=alice users:activity!user=alice",
		},
		{"token that inherits", []string{"inherit", "shutdown"}, Owner{User: "alice"}, alice, strings.Join(alice.Names(), " ")},
		{
			"token that asks for more than its owner has",
			[]string{"shutdown", "admin:users", "access:services!service=x"}, Owner{User: "alice"}, alice,
			"read:users:activity!user=alice read:users:groups!user=alice read:users:name!user=alice read:users!user=alice users:activity!user=alice",
		},
		{
			"token of an owner who lost everything",
			[]string{"self"},
			Owner{User: "alice"}, Set{}, "",
		},
		{
			"service without roles",
			[]string{"inherit"},
			Owner{Service: "s"}, Set{}, "",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := slices.Sorted(slices.Values(strings.Fields(tt.want)))
			got := Standard().Effective(tt.raw, tt.o, tt.held, groups).Names()
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	o := Owner{User: "alice", ClientServer: "alice/"}
	for _, tt := range []struct{ requested, have, granted, refused string }{
		{"inherit", "self", "inherit", ""},
		{"self", "self", "self", ""},
		{"access:servers!server", "access:servers!user=alice", "access:servers!server", ""},
		{"access:servers!server=bob/", "self", "", "access:servers!server=bob/"},
		{"read:users:name!user", "self", "read:users:name!user", ""},
		{"tokens", "tokens!user", "read:tokens!user=alice tokens!user=alice", "tokens"},
		{"read:users:name!user=bob", "read:users:name!group=class", "read:users:name!user=bob", ""},
		{"shutdown", "self", "", "shutdown"},
		{"nonsense", "self", "", "nonsense"},
		{"access:services!service", "self", "", "access:services!service"},
	} {
		granted, refused := Standard().Narrow(strings.Fields(tt.requested), Expand(strings.Fields(tt.have), o), o, groups)
		if strings.Join(granted, " ") != tt.granted || strings.Join(refused, " ") != tt.refused {
			t.Errorf("%s of %s: granted %v, refused %v", tt.requested, tt.have, granted, refused)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, role := range DefaultRoles() {
		if err := Validate(role.Scopes); err != nil || role.Description == "" {
			t.Errorf("role %s: %v", role.Name, err)
		}
	}
	if _, ok := Standard().Role("nobody"); ok {
		t.Error("a role exists that nobody made")
	}
	if diff := cmp.Diff([]string{"read:services:name!service=s"}, Identify(Owner{Service: "s"})); diff != "" {
		t.Error(diff)
	}
	if Identify(Owner{}) != nil || Access(Owner{User: "a"}) != nil {
		t.Error("nobody identifies as somebody")
	}
	if diff := cmp.Diff([]string{"access:services!service=c"}, Access(Owner{ClientService: "c"})); diff != "" {
		t.Error(diff)
	}
}

func TestContainsAll(t *testing.T) {
	t.Parallel()
	if !ContainsAll([]string{"a", "b"}, []string{"b"}) || !ContainsAll(nil, nil) || ContainsAll([]string{"users"}, []string{"read:users"}) {
		t.Error("literal comparison is wrong")
	}
}
