package scope

// Role is a named list of raw scopes, and who holds it.
type Role struct {
	Name        string
	Description string
	// Scopes are what it holds. In the configuration of a role that always exists, nil leaves it what it holds anyway.
	Scopes []string
	// Users, Groups and Services hold it by their names. What a group holds its members have.
	Users, Groups, Services []string
}

// The roles that always exist.
const (
	RoleUser   = "user"   // every user has it
	RoleAdmin  = "admin"  // users and services with the admin flag have it
	RoleServer = "server" // a server's own token
	RoleToken  = "token"  // a token for which nothing else was asked
)

// DefaultRoles returns the roles that always exist, as they are unless the configuration says otherwise.
func DefaultRoles() []Role {
	return []Role{
		{Name: RoleUser, Description: "What every user may do.", Scopes: []string{Self}},
		{Name: RoleAdmin, Description: "Everything.", Scopes: []string{
			"admin-ui", "admin:users", "admin:servers", "admin:services", "tokens", "admin:groups", "list:services", "read:services",
			"read:hub", "proxy", "shutdown", "access:services", "access:servers", "read:roles", "read:metrics", "shares",
		}},
		{Name: RoleServer, Description: "What a server may do for its user.", Scopes: []string{"users:activity!user", "access:servers!server"}},
		{Name: RoleToken, Description: "Whatever the owner of the token may do.", Scopes: []string{Inherit}},
	}
}
