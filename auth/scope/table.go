package scope

// Metascopes stand for others; see Expand.
const (
	Self    = "self"    // a user's own resources
	Inherit = "inherit" // all that a token's owner has
)

// Identify is what every token may read of its owner, raw.
var Identify = []string{"read:users:name!user", "read:users:groups!user"}

// UserRole and AdminRole are the raw scopes of the roles that every user, and every administrator, has.
var (
	UserRole  = []string{Self}
	AdminRole = []string{
		"admin-ui", "admin:users", "admin:servers", "admin:services", "tokens", "admin:groups", "list:services", "read:services",
		"read:hub", "proxy", "shutdown", "access:services", "access:servers", "read:roles", "read:metrics", "shares",
	}
)

// selfScopes are what Self stands for, each narrowed to the user.
var selfScopes = []string{
	"read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers",
}

// subscopes tells what each scope implies directly. Source: JupyterHub 5.5, with start:servers of 6.0.
var subscopes = map[string][]string{
	"admin-ui":            nil,
	"admin:users":         {"admin:auth_state", "users", "read:roles:users", "delete:users"},
	"admin:auth_state":    nil,
	"users":               {"read:users", "list:users", "users:activity"},
	"delete:users":        nil,
	"list:users":          {"read:users:name"},
	"read:users":          {"read:users:name", "read:users:groups", "read:users:activity"},
	"read:users:name":     nil,
	"read:users:groups":   nil,
	"read:users:activity": nil,
	"users:activity":      {"read:users:activity"},
	"read:roles":          {"read:roles:users", "read:roles:services", "read:roles:groups"},
	"read:roles:users":    nil,
	"read:roles:services": nil,
	"read:roles:groups":   nil,
	"admin:servers":       {"admin:server_state", "servers"},
	"admin:server_state":  nil,
	"servers":             {"read:servers", "delete:servers", "start:servers"},
	"read:servers":        {"read:users:name"},
	"start:servers":       nil,
	"delete:servers":      nil,
	"tokens":              {"read:tokens"},
	"read:tokens":         nil,
	"admin:groups":        {"groups", "read:roles:groups", "delete:groups"},
	"groups":              {"read:groups", "list:groups"},
	"list:groups":         {"read:groups:name"},
	"read:groups":         {"read:groups:name"},
	"read:groups:name":    nil,
	"delete:groups":       nil,
	"admin:services":      {"list:services", "read:services", "read:roles:services"},
	"list:services":       {"read:services:name"},
	"read:services":       {"read:services:name"},
	"read:services:name":  nil,
	"read:hub":            nil,
	"access:servers":      nil,
	"access:services":     nil,
	"users:shares":        {"read:users:shares"},
	"groups:shares":       {"read:groups:shares"},
	"read:users:shares":   nil,
	"read:groups:shares":  nil,
	"read:shares":         nil,
	"shares":              {"access:servers", "read:shares", "users:shares", "groups:shares"},
	"proxy":               nil,
	"shutdown":            nil,
	"read:metrics":        nil,
}
