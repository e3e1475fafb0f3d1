package main

import (
	"errors"
	"fmt"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/config"
)

// rolePolicy is the roles and custom scopes of a configuration. Its error names the line of each block that is wrong.
func rolePolicy(cfg config.Config) (*scope.Policy, error) {
	where := map[string]string{} // by kind and name of a block
	custom := make([]scope.Custom, len(cfg.Scopes))
	for i, s := range cfg.Scopes {
		where["scope "+s.Name] = config.Where(s.At)
		custom[i] = scope.Custom{Name: s.Name, Description: s.Description, Includes: s.Subscopes}
	}
	roles := make([]scope.Role, len(cfg.Roles))
	for i, r := range cfg.Roles {
		where["role "+r.Name] = config.Where(r.At)
		roles[i] = scope.Role{
			Name: r.Name, Description: r.Description, Scopes: some(r.Scopes), Users: normalized(r.Users), Groups: r.Groups, Services: r.Services,
		}
	}
	policy, err := scope.NewPolicy(roles, custom)
	faults, ok := errors.AsType[scope.PolicyErrors](err)
	if !ok {
		return policy, err
	}
	var errs []error
	for _, f := range faults {
		errs = append(errs, fmt.Errorf("%s: %w", where[f.Block+" "+f.Name], f))
	}
	return nil, errors.Join(errs...)
}

func checkRoles(cfg config.Config) error {
	_, err := rolePolicy(cfg)
	return err
}
