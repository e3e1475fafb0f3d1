package scope

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Policy is which roles and custom scopes a hub has, and who holds the roles by its configuration. It never changes, and may be used by many at once.
type Policy struct {
	words  *vocabulary
	roles  map[string]Role
	users  map[string][]string // the roles of a user, by the user's name, sorted
	groups map[string][]string
	// services are without those that have the admin flag.
	services map[string][]string

	user, admin template // of those who have no other role
	// combined holds a template for every combination of roles that somebody had, by the roles' names with a space after each.
	combined sync.Map
	kept     atomic.Int64 // how many
}

// maxCombined bounds what a policy remembers. Beyond that, combinations that are new are worked out each time.
const maxCombined = 4096

// Custom is a scope that only services give a meaning.
type Custom struct {
	Name        string   // "custom:grader:read"
	Description string   // for people who are asked to grant it
	Includes    []string // other custom scopes
}

// PolicyError is what is wrong with one role or custom scope.
type PolicyError struct {
	Block  string // "role" or "scope"
	Name   string
	Reason string // a sentence without its end
}

func (f PolicyError) Error() string { return fmt.Sprintf("%s %q: %s", f.Block, f.Name, f.Reason) }

// PolicyErrors is all that is wrong with a policy.
type PolicyErrors []PolicyError

func (f PolicyErrors) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// NewPolicy adds roles and custom scopes to those that every hub has. A role of the name of a default role takes its place as far as it says anything; the
// scopes of "admin" cannot be changed. It fails with [PolicyErrors].
func NewPolicy(roles []Role, custom []Custom) (*Policy, error) {
	words, faults := withCustom(custom)
	p := &Policy{
		words: words, roles: map[string]Role{},
		users: map[string][]string{}, groups: map[string][]string{}, services: map[string][]string{},
	}
	for _, r := range DefaultRoles() {
		p.roles[r.Name] = r
	}
	seen := map[string]bool{}
	for _, r := range roles {
		if reason := p.check(r, seen[r.Name]); reason != "" {
			faults = append(faults, PolicyError{"role", r.Name, reason})
			continue
		}
		seen[r.Name] = true
		p.add(r)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	p.user, p.admin = p.combine([]string{RoleUser}), p.combine([]string{RoleAdmin, RoleUser})
	return p, nil
}

// Standard is the policy without any configuration.
func Standard() *Policy {
	p, err := NewPolicy(nil, nil)
	if err != nil {
		panic(err) // what is built in has no faults; a test sees to it
	}
	return p
}

// check tells what is wrong with a role, "" if nothing is.
func (p *Policy) check(r Role, twice bool) string {
	_, standard := p.roles[r.Name]
	switch {
	case twice:
		return "there are two roles of this name; put what they hold into one"
	case !validRoleName(r.Name):
		return "a role's name has 3 to 255 lower-case letters, digits and - _ ~ . in it, begins with a letter and ends with a letter or digit"
	case r.Name == RoleAdmin && (r.Scopes != nil || len(r.Users)+len(r.Services) > 0):
		return "the role admin cannot be redefined; it holds every scope, and users and services have it who are administrators. Only groups can be added to it"
	case !standard && len(r.Scopes) == 0:
		return "it has no scopes"
	case r.Name != RoleToken && slices.Contains(r.Scopes, Inherit):
		return "the scope inherit is for tokens, and means nothing in this role"
	}
	if err := p.words.validate(r.Scopes); err != nil {
		return err.Error()
	}
	for kind, names := range map[string][]string{"user": r.Users, "group": r.Groups, "service": r.Services} {
		if slices.Contains(names, "") {
			return "one " + kind + " has no name"
		}
	}
	return ""
}

func validRoleName(name string) bool {
	const letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	const ends = letters + digits
	return len(name) >= 3 && len(name) <= 255 && allOf(name, ends+"-_~.") &&
		strings.IndexByte(letters, name[0]) >= 0 && strings.IndexByte(ends, name[len(name)-1]) >= 0
}

func allOf(text, chars string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune(chars, r) }) < 0
}

func (p *Policy) add(r Role) {
	was := p.roles[r.Name]
	r.Description = cmp.Or(r.Description, was.Description)
	if r.Scopes == nil {
		r.Scopes = was.Scopes
	}
	p.roles[r.Name] = r
	for _, of := range []struct {
		holders map[string][]string
		names   []string
	}{{p.users, r.Users}, {p.groups, r.Groups}, {p.services, r.Services}} {
		for _, name := range of.names {
			of.holders[name] = distinct(append(of.holders[name], r.Name))
		}
	}
}

// distinct sorts a list of its own and drops what is there twice.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// Roles returns all roles, by name.
func (p *Policy) Roles() []Role {
	return slices.SortedFunc(maps.Values(p.roles), func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
}

// Role finds a role by its name.
func (p *Policy) Role(name string) (Role, bool) {
	r, ok := p.roles[name]
	return r, ok
}

// All returns every scope with a sentence for people who are asked to grant it, by name.
func (p *Policy) All() iter.Seq2[string, string] { return p.words.all() }

// Describe returns the sentence for one scope, "" for one that does not exist. Limits are left to the caller.
func (p *Policy) Describe(name string) string { return p.words.definitions[name].text }

// Parse takes a raw scope apart, custom ones too. It fails with ErrInvalid for scopes that do not exist and for impossible limits.
func (p *Policy) Parse(raw string) (Scope, error) { return p.words.parse(raw) }

// Validate fails with ErrInvalid for the first raw scope that Parse refuses.
func (p *Policy) Validate(raw []string) error { return p.words.validate(raw) }

// Expand is the function of that name, with custom scopes.
func (p *Policy) Expand(raw []string, o Owner) Set { return p.words.compile(raw).of(o) }

// Including returns the scopes that include one, itself among them, sorted: holding any of them would do.
func (p *Policy) Including(name string) []string { return p.words.including(name) }
