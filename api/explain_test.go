package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	roles, err := scope.NewPolicy([]scope.Role{
		{Name: "staff", Scopes: []string{"access:servers!group=class"}, Groups: []string{"class-staff"}},
		{Name: "helpdesk", Scopes: []string{"read:roles:users", "read:users!group=class"}, Users: []string{"helen"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.Hub.SetRoles(roles)
	for name, groups := range map[string][]string{"ada": {"class-staff"}, "ben": {"class"}, "helen": nil} {
		u := b.User(name, false)
		u.Groups = groups
		if err := b.Store.UpdateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		u, err := b.Hub.UserByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		b.tokens[name] = b.Token(u, "inherit")
	}
	ask := func(who, query string) answer { return b.as(who, http.MethodGet, "/users/ada/explain?"+query, "") }

	m := ask("root", "scope=access:servers&on=server=ben/").want(http.StatusOK).object()
	same(t, "granted", m["granted"], any(true))
	same(t, "because", fmt.Sprint(m["because"]), "[map[gives:access:servers!group=class group:class-staff holds:access:servers!group=class role:staff source:group]]")
	m = ask("root", "scope=servers&on=server=ben/").want(http.StatusOK).object()
	same(t, "granted", m["granted"], any(false))
	same(t, "refused", fmt.Sprint(m["refused"]), "[Roles and shares of user=ada give only servers!user=ada, and it is asked for server=ben/.]")
	same(t, "acceptable", fmt.Sprint(m["acceptable"]), "[admin:servers servers]")
	m = ask("root", "scope=access:servers&on=server=ben/&token_scope=self").want(http.StatusOK).object()
	same(t, "of a token that has not been made", m["granted"], any(false))

	ada, err := b.Hub.UserByName(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := b.Hub.IssueToken(t.Context(), ada, hub.NewToken{Scopes: []string{"read:users!user"}})
	if err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("scope=tokens&on=user=ada&token=a%d", token.ID)
	same(t, "of a token", ask("root", own).want(http.StatusOK).object()["granted"], any(false))
	same(t, "without it", ask("root", "scope=tokens&on=user=ada").want(http.StatusOK).object()["granted"], any(true))

	ask("ben", "scope=servers").want(http.StatusForbidden)
	ask("ada", "scope=servers").want(http.StatusForbidden) // one's own roles are no secret, but who else belongs to a group may be
	ask("helen", "scope=servers&on=server=ben/").want(http.StatusOK)
	ask("helen", own).want(http.StatusNotFound)                             // may not read about tokens
	ask("helen", "scope=servers&on=server=root/").want(http.StatusNotFound) // whose groups are not hers to know
	ask("helen", "scope=servers&on=server=nobody/").want(http.StatusNotFound)
	ask("root", "").want(http.StatusBadRequest)
	for _, bad := range []string{"scope=nope", "scope=self", "scope=servers!user=ada", "scope=servers&on=ben", "scope=servers&on=server=ben", "scope=servers&on=user=%00"} {
		ask("root", bad).want(http.StatusNotFound)
	}
	ask("root", "scope=servers&token=a0").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/users/nobody/explain?scope=servers", "").want(http.StatusNotFound)
}
