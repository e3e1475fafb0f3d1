package hub

import (
	"context"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// SetRoles puts other roles and custom scopes in force: every session and token has what they give from its next request on. nil stands for the roles that
// every hub has.
func (h *Hub) SetRoles(p *scope.Policy) {
	if p == nil {
		p = scope.Standard()
	}
	h.roles.Store(p)
	h.recent.changed(ofPeople)
}

// Roles are the roles and custom scopes in force.
func (h *Hub) Roles() *scope.Policy { return h.roles.Load() }

// HolderOf is a user as roles see them.
func HolderOf(u User) scope.Holder {
	return scope.Holder{Name: u.Name, Admin: u.Admin, Roles: u.Roles, Groups: u.Groups, Shared: u.Shared}
}

// userScopes is what a user may do by their roles, those of their groups, and what is shared with them.
func (h *Hub) userScopes(u User) scope.Set { return h.Roles().OfUser(HolderOf(u)) }

// serviceScopes is what a service may do by the roles that name it, and by its admin flag.
func (h *Hub) serviceScopes(s Service) scope.Set { return h.Roles().OfService(s.Name, s.Admin) }

// memberships answers who belongs to which groups. Of the user at hand it is known; others are looked up when it matters, which is when a token names a user
// or server, and a role of its owner a group. After the last question, failed returns the error of the first look-up that had one.
func memberships(ctx context.Context, users UserStore, at User) (of scope.GroupsOf, failed func() error) {
	known := map[string][]string{at.Name: at.Groups}
	var first error
	of = func(user string) []string {
		groups, ok := known[user]
		if ok || first != nil {
			return groups
		}
		u, err := users.UserByName(ctx, user)
		if err != nil && KindOf(err) != NotFound {
			first = err
		}
		known[user] = u.Groups
		return u.Groups
	}
	return of, func() error { return first }
}
