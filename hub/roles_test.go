package hub_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

func policy(t *testing.T, roles []scope.Role, custom ...scope.Custom) *scope.Policy {
	t.Helper()
	p, err := scope.NewPolicy(roles, custom)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// staff look after the members of class.
func staff() scope.Role {
	return scope.Role{Name: "staff", Scopes: []string{"list:users!group=class", "access:servers!group=class"}, Groups: []string{"class-staff"}}
}

// soon waits until something is so, which is to be within a second.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(time.Minute), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// TestA43_RolesAreThoseOfThisMoment: who leaves a group loses what it gave, with every token and session and at every replica; so does everybody when a role is removed.
func TestA43_RolesAreThoseOfThisMoment(t *testing.T) {
	t.Parallel()
	with := func(o *hub.Options) { o.Roles = policy(t, []scope.Role{staff()}) }
	b := newBench(t, with)
	other := openBench(t, b.store, b.fake, with)
	session, ada, err := b.hub.Login(t.Context(), auth.Identity{Provider: "test", Subject: "1", Name: "ada", Groups: []string{"class-staff"}}, hub.Browser{}, hub.LoginOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, scopes := range [][]string{nil, {"list:users!group=class"}} {
		secret, _, err := b.hub.IssueToken(t.Context(), ada, hub.NewToken{Scopes: scopes})
		if err != nil {
			t.Fatalf("a token with %v: %v", scopes, err)
		}
		tokens = append(tokens, secret)
	}
	everywhere := func(want bool) func() bool {
		return func() bool {
			for _, h := range []*hub.Hub{b.hub, other.hub} {
				p, err := h.SessionPrincipal(t.Context(), session.ID)
				if err != nil {
					t.Fatal(err)
				}
				all := []hub.Principal{p}
				for _, secret := range tokens {
					p, err := h.TokenPrincipal(t.Context(), secret)
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, p)
				}
				if slices.ContainsFunc(all, func(p hub.Principal) bool { return p.Can("list:users", scope.Group("class")) != want }) {
					return false
				}
			}
			return true
		}
	}
	soon(t, "the role acts for session and tokens on both hubs", everywhere(true))
	ada.Groups = nil
	if err := b.store.UpdateUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	soon(t, "it is gone with the group", everywhere(false))
	ada.Groups = []string{"class-staff"}
	if err := b.store.UpdateUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	soon(t, "it is back", everywhere(true))
	b.hub.SetRoles(nil)
	other.hub.SetRoles(nil)
	if !everywhere(false)() {
		t.Error("the role was removed, and still acts at the next request")
	}
}

func TestRolesOfALogin(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		auditor := scope.Role{Name: "auditor", Scopes: []string{"read:users"}}
		o.Roles = policy(t, []scope.Role{staff(), auditor})
	})
	for _, tt := range []struct {
		sent, want []string
	}{
		{[]string{"staff", "nobody", "admin", "auditor", "staff"}, []string{"auditor", "staff"}}, // exactly those that there are
		{nil, []string{"auditor", "staff"}}, // a provider that says nothing changes nothing
		{[]string{"staff"}, []string{"staff"}},
		{[]string{}, nil},
	} {
		id := auth.Identity{Provider: "test", Subject: "1", Name: "ada", Roles: tt.sent}
		session, _, err := b.hub.Login(t.Context(), id, hub.Browser{}, hub.LoginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.hub.UserByName(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, u.Roles, cmpopts.EquateEmpty()); diff != "" || u.Admin {
			t.Errorf("%q: administrator %t, roles (-want +got):\n%s", tt.sent, u.Admin, diff)
		}
		p, err := b.hub.SessionPrincipal(t.Context(), session.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.Can("list:users", scope.Group("class")), slices.Contains(tt.want, "staff"); got != want {
			t.Errorf("%q: lists the class: %t, want %t", tt.sent, got, want)
		}
	}
}

// TestA07_WhoMakesAdministratorsHoldsAllThatTheyWouldHold: no scope makes up for another, and the flag alone is not enough.
func TestA07_WhoMakesAdministratorsHoldsAllThatTheyWouldHold(t *testing.T) {
	t.Parallel()
	all := scope.AdminScopes()
	admin := hub.User{Name: "root", Admin: true}
	if !(hub.Principal{User: admin, Scopes: all}).MayMakeAdmins() || !(hub.Principal{Service: &hub.Service{Admin: true}, Scopes: all}).MayMakeAdmins() {
		t.Error("an administrator may not make others")
	}
	if (hub.Principal{User: hub.User{Name: "eve"}, Scopes: all}).MayMakeAdmins() || (hub.Principal{Service: &hub.Service{}, Scopes: all}).MayMakeAdmins() {
		t.Error("who is no administrator may make some")
	}
	for _, left := range all.Names() {
		kept := slices.DeleteFunc(all.Names(), func(name string) bool {
			return name == left || slices.Contains(scope.Standard().Including(left), name)
		})
		for _, raw := range [][]string{kept, append(kept, left+"!user=root", left+"!group=class")} {
			p := hub.Principal{User: admin, Scopes: scope.Expand(raw, scope.Owner{User: "root"})}
			if p.MayMakeAdmins() {
				t.Errorf("without %s a token makes administrators", left)
			}
		}
	}
}

// TestTokensAreWithinRoles: what a token may be given is what its owner's roles hold, custom scopes included.
func TestTokensAreWithinRoles(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		grader := scope.Role{Name: "grader", Scopes: []string{"custom:grades:write", "read:users!user=bob"}, Users: []string{"ada"}}
		token := scope.Role{Name: scope.RoleToken, Scopes: []string{"read:users!user"}}
		o.Roles = policy(t, []scope.Role{staff(), grader, token},
			scope.Custom{Name: "custom:grades:read", Description: "Read."},
			scope.Custom{Name: "custom:grades:write", Description: "Write.", Includes: []string{"custom:grades:read"}})
	})
	ada := b.login("ada")
	if err := b.store.CreateUser(t.Context(), hub.User{ID: "bob", Name: "bob", Groups: []string{"class"}}); err != nil {
		t.Fatal(err)
	}
	issue := func(scopes ...string) error {
		_, _, err := b.hub.IssueToken(t.Context(), ada, hub.NewToken{Scopes: scopes})
		return err
	}
	for _, good := range []string{"custom:grades:read", "custom:grades:write!user=bob", "read:users:name!user=bob", "self"} {
		if err := issue(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"custom:grades", "custom:other", "read:users:name", "list:users!group=class", "access:servers!server=bob/"} {
		if err := issue(bad); err == nil || hub.KindOf(err) != hub.Invalid {
			t.Errorf("%s: %v, want it refused", bad, err)
		}
	}
	ada.Groups = []string{"class-staff"}
	if err := b.store.UpdateUser(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if err := issue("access:servers!server=bob/"); err != nil { // by the group of bob, who has to be looked up
		t.Errorf("a server of a member of the class: %v", err)
	}
	if err := issue("access:servers!server=eve/"); err == nil {
		t.Error("a server of somebody else is within the class")
	}
	_, usual, err := b.hub.IssueToken(t.Context(), ada, hub.NewToken{})
	if err != nil || !slices.Equal(usual.Scopes, []string{"read:users!user"}) {
		t.Errorf("the usual token has %v, %v; want those of the role token", usual.Scopes, err)
	}
}

// TestAVisitByTheRoleOfAGroup: a server cannot know who belongs to a group, so a visitor's token names the server.
func TestAVisitByTheRoleOfAGroup(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Roles = policy(t, []scope.Role{staff()}) })
	b.placeAt(notebook(t))
	bob := b.login("bob")
	bob.Groups = []string{"class"}
	if err := b.store.UpdateUser(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	ada := b.login("ada")
	ada.Groups = []string{"class-staff"}
	b.awaitState(b.start("bob", "").ID, hub.Ready)
	visit := hub.Token{ClientID: hub.ClientID("bob", "")}
	for _, tt := range []struct {
		groups []string
		want   bool
	}{{[]string{"class-staff"}, true}, {nil, false}} {
		ada.Groups = tt.groups
		set, err := b.hub.TokenScopes(t.Context(), visit, ada)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(set.Names(), "access:servers!server=bob/"); got != tt.want {
			t.Errorf("in %v: %v", tt.groups, set.Names())
		}
	}
}

func TestScopesOfServices(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) {
		culler := scope.Role{Name: "culler", Scopes: []string{"list:users", "delete:servers", "access:services!service"}, Services: []string{"culler"}}
		o.Roles = policy(t, []scope.Role{culler})
	})
	for _, tt := range []struct {
		service hub.Service
		raw     []string
		want    string
	}{
		{hub.Service{Name: "culler"}, []string{"inherit"}, "access:services!service=culler delete:servers list:users read:users:name"},
		{hub.Service{Name: "culler"}, []string{"list:users", "shutdown"}, "list:users read:users:name"},
		{hub.Service{Name: "other"}, []string{"inherit"}, ""},
		{hub.Service{Name: "other", Admin: true}, []string{"shutdown"}, "read:services:name!service=other shutdown"},
		{hub.Service{Name: "other", Admin: true}, []string{"self"}, "read:services:name!service=other"},
	} {
		set, err := b.hub.ServiceTokenScopes(t.Context(), hub.Token{Service: tt.service.Name, Scopes: tt.raw}, tt.service)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(set.Names(), " "); got != tt.want {
			t.Errorf("%+v with %v: %s, want %s", tt.service, tt.raw, got, tt.want)
		}
	}
}
