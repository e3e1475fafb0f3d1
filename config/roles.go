package config

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Role is a named list of scopes, and who holds it. Which scopes there are is not known here.
type Role struct {
	Name        string    `hcl:"name,label"`
	At          hcl.Range `hcl:",def_range"` // where it stands
	Description string    `hcl:"description,optional" doc:"What it is for."`
	Scopes      []string  `hcl:"scopes,optional" doc:"What its holders may do, such as list:users, or access:servers!group=class. Required, but for the roles user, server and token, which keep their own without it."`
	Users       []string  `hcl:"users,optional" doc:"Who holds it."`
	Groups      []string  `hcl:"groups,optional" doc:"Groups whose members have it, also groups that nobody made yet."`
	Services    []string  `hcl:"services,optional" doc:"Services that hold it."`
}

// Scope is a custom scope, which services give a meaning.
type Scope struct {
	Name        string    `hcl:"name,label"`
	At          hcl.Range `hcl:",def_range"`
	Description string    `hcl:"description" doc:"What people are told who are asked to grant it."`
	Subscopes   []string  `hcl:"subscopes,optional" doc:"Other custom scopes that it includes."`
}

// Where says where a block stands, for errors.
func Where(at hcl.Range) string { return fmt.Sprintf("%s, line %d", at.Filename, at.Start.Line) }

// takeRoles and mergeRoles do with roles and custom scopes what takeNamed and mergeNamed do with named blocks in blocks.
func (c *Config) takeRoles() (roles []Role, scopes []Scope) {
	roles, scopes = c.Roles, c.Scopes
	c.Roles, c.Scopes = nil, nil
	return roles, scopes
}

func (c *Config) mergeRoles(file string, roles []Role, scopes []Scope) error {
	var err1, err2 error
	c.Roles, err1 = merge(file, "role", roles, c.Roles, func(r Role) string { return r.Name })
	c.Scopes, err2 = merge(file, "scope", scopes, c.Scopes, func(s Scope) string { return s.Name })
	return errors.Join(err1, err2)
}
