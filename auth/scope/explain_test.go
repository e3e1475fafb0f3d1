package scope

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	p := school(t)
	inClass := User("bob", "class")
	for _, tt := range []struct {
		name    string
		q       Question
		because []Cause
		refused []string
	}{
		{
			"by a role that everybody has", Question{User: Holder{Name: "alice"}, Scope: "start:servers", On: Server("alice", "lab")},
			[]Cause{{FromAll, "", "user", "self", "start:servers!user=alice"}}, nil,
		},
		{
			"by a group", Question{User: Holder{Name: "alice", Groups: []string{"x", "staff"}}, Scope: "list:users", On: inClass},
			[]Cause{{FromGroup, "staff", "staff", "list:users!group=class", "list:users!group=class"}}, nil,
		},
		{
			"from every source", Question{
				User:  Holder{Name: "dora", Admin: true, Roles: []string{"staff", "gone"}, Groups: []string{"ops"}, Shared: []string{"access:servers!server=bob/"}},
				Scope: "access:servers", On: Server("bob", "", "class"),
			},
			[]Cause{
				{FromAdmin, "", "admin", "access:servers", "access:servers"},
				{FromAdmin, "", "admin", "shares", "access:servers"},
				{FromConfig, "", "staff", "access:servers!group=class", "access:servers!group=class"},
				{FromLogin, "", "staff", "access:servers!group=class", "access:servers!group=class"},
				{FromGroup, "ops", "admin", "access:servers", "access:servers"},
				{FromGroup, "ops", "admin", "shares", "access:servers"},
				{FromShare, "", "", "access:servers!server=bob/", "access:servers!server=bob/"},
			}, nil,
		},
		{
			"somebody else", Question{User: Holder{Name: "alice"}, Scope: "servers", On: Server("bob", "")},
			nil, []string{"Roles and shares of user=alice give only servers!user=alice, and it is asked for server=bob/."},
		},
		{
			"everything", Question{User: Holder{Name: "alice", Groups: []string{"staff"}}, Scope: "list:users"},
			nil, []string{"Roles and shares of user=alice give only list:users!group=class, and it is asked for everything."},
		},
		{
			"nothing at all", Question{User: Holder{Name: "alice"}, Scope: "shutdown"},
			nil, []string{"Roles and shares of user=alice give no scope that includes shutdown."},
		},
		{
			"a service", Question{Service: "culler", Scope: "delete:servers", On: Server("bob", "")},
			[]Cause{{FromConfig, "", "culler", "delete:servers", "delete:servers"}}, nil,
		},
		{
			"a service that is an administrator", Question{Service: "other", ServiceAdmin: true, Scope: "proxy"},
			[]Cause{{FromAdmin, "", "admin", "proxy", "proxy"}}, nil,
		},
		{
			"a token that inherits", Question{User: Holder{Name: "alice"}, Token: []string{"inherit"}, Scope: "tokens", On: User("alice")},
			[]Cause{{FromAll, "", "user", "self", "tokens!user=alice"}, {FromToken, "", "", "inherit", "inherit"}}, nil,
		},
		{
			"a token without it", Question{User: Holder{Name: "alice"}, Token: []string{"read:users!user"}, Scope: "tokens", On: User("alice")},
			[]Cause{{FromAll, "", "user", "self", "tokens!user=alice"}}, []string{"The token has no scope that includes tokens."},
		},
		{
			"a token with more than its owner", Question{User: Holder{Name: "alice"}, Token: []string{"servers"}, Scope: "servers", On: Server("bob", "")},
			[]Cause{{FromToken, "", "", "servers", "servers"}},
			[]string{"Roles and shares of user=alice give only servers!user=alice, and it is asked for server=bob/."},
		},
		{
			"what every token has", Question{User: Holder{Name: "alice"}, Token: []string{}, Scope: "read:users:name", On: User("alice")},
			[]Cause{{FromAll, "", "user", "self", "read:users:name!user=alice"}, {FromToken, "", "", "read:users:name!user=alice", "read:users:name!user=alice"}}, nil,
		},
		{
			"a token for the server of its client",
			Question{User: Holder{Name: "alice"}, Token: []string{}, ClientServer: "alice/", Scope: "access:servers", On: Server("alice", "")},
			[]Cause{
				{FromAll, "", "user", "self", "access:servers!user=alice"},
				{FromToken, "", "", "access:servers!server=alice/", "access:servers!server=alice/"},
			}, nil,
		},
		{
			"two groups that share a member", Question{
				User: Holder{Name: "alice", Groups: []string{"staff"}}, Token: []string{"list:users!group=evening"}, Scope: "list:users", On: User("bob", "class", "evening"),
			},
			[]Cause{
				{FromGroup, "staff", "staff", "list:users!group=class", "list:users!group=class"},
				{FromToken, "", "", "list:users!group=evening", "list:users!group=evening"},
			},
			[]string{"The token and its owner both hold the scope here, by limits that have nothing in common."},
		},
	} {
		a, err := p.Explain(tt.q)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := Answer{
			Who: tt.q.who().String(), Scope: tt.q.Scope, On: tt.q.On.String(), Granted: tt.refused == nil, Because: append([]Cause{}, tt.because...),
			Refused: append([]string{}, tt.refused...), Acceptable: a.Acceptable, Roles: a.Roles,
		}
		if diff := cmp.Diff(want, a); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	a, _ := p.Explain(Question{User: Holder{Name: "alice"}, Scope: "delete:servers", On: Server("bob", "")})
	if diff := cmp.Diff([]string{"admin:servers", "delete:servers", "servers"}, a.Acceptable); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"admin", "culler", "user"}, a.Roles); diff != "" {
		t.Error(diff)
	}
	var many []string
	for c := 'a'; c < 'a'+8; c++ {
		many = append(many, "servers!user="+string(c))
	}
	a, _ = p.Explain(Question{User: Holder{Name: "alice"}, Token: many, Scope: "servers", On: Server("alice", "")})
	if len(a.Refused) != 1 || !strings.Contains(a.Refused[0], "and 3 more") {
		t.Errorf("%q", a.Refused)
	}
}

func TestExplainRefusesWhatIsNoQuestion(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "nope", "self", "inherit", "servers!user=alice", "custom:other"} {
		if _, err := school(t).Explain(Question{User: Holder{Name: "alice"}, Scope: name}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Object{
		"": {}, "everything": {}, "user=alice": User("alice"), "group=a=b": Group("a=b"), "server=alice/": Server("alice", ""),
		"server=alice/a/b": Server("alice", "a/b"), "service=s": Service("s"),
	} {
		got, err := ParseObject(text)
		if err != nil || !slices.Equal(got.groups, want.groups) || got.String() != want.String() {
			t.Errorf("%q is %v, %v", text, got, err)
		}
		if again, err := ParseObject(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%q read back is %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"alice", "user", "user=", "server=alice", "server=/x", "name=x", "=x"} {
		if o, err := ParseObject(text); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is %v, %v", text, o, err)
		}
	}
	if o := Server("alice", "lab").In([]string{"class"}); o.Owner() != "alice" || !slices.Equal(o.groups, []string{"class"}) || Group("g").Owner() != "" || User("u").Owner() != "u" {
		t.Error("an object does not know its user")
	}
}
