package scope

import "slices"

// Role is a named list of raw scopes.
type Role struct {
	Name        string
	Description string
	Scopes      []string
}

// The roles that always exist.
const (
	RoleUser   = "user"   // every user has it
	RoleAdmin  = "admin"  // users and services with the admin flag have it
	RoleServer = "server" // a server's own token
	RoleToken  = "token"  // a token for which nothing else was asked
)

// DefaultRoles returns the roles that always exist.
func DefaultRoles() []Role {
	return []Role{
		{RoleUser, "What every user may do.", []string{Self}},
		{RoleAdmin, "Everything.", []string{
			"admin-ui", "admin:users", "admin:servers", "admin:services", "tokens", "admin:groups", "list:services", "read:services",
			"read:hub", "proxy", "shutdown", "access:services", "access:servers", "read:roles", "read:metrics", "shares",
		}},
		{RoleServer, "What a server may do for its user.", []string{"users:activity!user", "access:servers!server"}},
		{RoleToken, "Whatever the owner of the token may do.", []string{Inherit}},
	}
}

// RoleScopes returns the raw scopes of a role that always exists, nil for others.
func RoleScopes(name string) []string {
	for _, role := range DefaultRoles() {
		if role.Name == name {
			return role.Scopes
		}
	}
	return nil
}

// OfUser returns what a user may do by the roles that everybody has: "user", and "admin" for admins.
func OfUser(name string, admin bool) Set {
	raw := RoleScopes(RoleUser)
	if admin {
		raw = slices.Concat(raw, RoleScopes(RoleAdmin))
	}
	return Expand(raw, Owner{User: name})
}

// ServerToken returns the raw scopes of the token that a server itself holds. Its server is named in them, because such a token
// belongs to no OAuth client that could tell it later.
func ServerToken(user, server string) []string {
	return []string{
		"users:activity!user",
		Scope{"access:servers", ByServer, FullName(user, server)}.String(),
	}
}
