package config

import (
	"errors"
	"fmt"
	"slices"
)

// takeGroups takes the groups' limits out, so that a file's own are read into nothing that is there. The block is copied: what was loaded before stays
// as it was.
func (c *Config) takeGroups() []GroupLimits {
	if c.Limits == nil {
		return nil
	}
	limits := *c.Limits
	before := limits.Groups
	limits.Groups = nil
	c.Limits = &limits
	return before
}

// mergeGroups puts a file's groups to those of the files before.
func (c *Config) mergeGroups(file string, before []GroupLimits) error {
	if c.Limits == nil {
		return nil
	}
	seen := map[string]bool{}
	merged := slices.Clone(before)
	for _, g := range c.Limits.Groups {
		if seen[g.Name] {
			return fmt.Errorf("%s: the group %q has two blocks in limits; put its limits into one", file, g.Name)
		}
		seen[g.Name] = true
		merged = slices.DeleteFunc(merged, func(old GroupLimits) bool { return old.Name == g.Name })
		merged = append(merged, g)
	}
	c.Limits.Groups = merged
	return nil
}

// validate finds limits that cannot be meant.
func (l Limits) validate() error {
	var errs []error
	check := func(name string, value, least int) {
		if value < least {
			errs = append(errs, fmt.Errorf("%s is %d, and must be at least %d", name, value, least))
		}
	}
	check("limits.concurrent_starts", l.ConcurrentStarts, 1)
	check("limits.queued_starts", l.QueuedStarts, 1)
	check("limits.active_servers", l.ActiveServers, 0)
	check("limits.named_servers_per_user", l.NamedPerUser, 0)
	check("limits.servers_per_user", l.ServersPerUser, 0)
	check("limits.requests_per_second", l.RequestsPerSecond, 0)
	check("limits.request_burst", l.RequestBurst, 0)
	check("limits.wrong_passwords_per_name", l.WrongPerName, 0)
	check("limits.wrong_passwords_per_address", l.WrongPerAddress, 0)
	check("limits.token_expires_in_max_seconds", l.TokenSeconds, 0)
	for _, g := range l.Groups {
		block := fmt.Sprintf("limits.group %q: ", g.Name)
		check(block+"active_servers", g.ActiveServers, 0)
		check(block+"concurrent_starts", g.ConcurrentStarts, 0)
		check(block+"named_servers_per_user", g.NamedPerUser, -1)
		check(block+"servers_per_user", g.ServersPerUser, -1)
	}
	return errors.Join(errs...)
}
