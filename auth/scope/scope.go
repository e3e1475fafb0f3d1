// Package scope is the arithmetic of permissions: JupyterHub's scopes and roles, so that its clients understand ours. It is pure:
// no storage, no clock, no network.
//
// A raw scope is what roles and tokens hold, such as "self" or "servers!user". Expanding it for its owner gives a [Set], which
// answers what may be done. What a token may do is the intersection of its own set with its owner's of this moment.
//
//	raw scopes ──Expand──► Set ──Intersect──► Set ──Has──► yes or no
//
// Which roles and custom scopes there are, and who holds the roles, is a [Policy]. What a function of this package does without
// one, it does by the roles and scopes that every hub has.
package scope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrInvalid means that a text is no scope. The error's text says which and why, and may be shown.
var ErrInvalid = errors.New("invalid scope")

// Two scopes stand for others, which depend on who holds them.
const (
	Self    = "self"    // whatever every user may do with what is their own
	Inherit = "inherit" // for tokens: whatever the owner may do
)

// Kind is what a scope can be limited to.
type Kind string

// The kinds of limits.
const (
	Unlimited Kind = ""
	ByUser    Kind = "user"    // this user and, where servers are concerned, all servers of theirs
	ByGroup   Kind = "group"   // this group, or all its members and their servers
	ByServer  Kind = "server"  // one server, as "USER/SERVER"
	ByService Kind = "service" // one service
)

// Scope is one raw scope, taken apart.
type Scope struct {
	Name string // "read:users"
	Kind Kind
	// Value is what the scope is limited to. "" with a kind is a reference to the holder: "servers!user".
	Value string
}

// Parse takes a raw scope apart. It fails with ErrInvalid for scopes that do not exist and for impossible limits. It knows no
// custom scopes; [Policy.Parse] does.
func Parse(raw string) (Scope, error) { return builtIn.parse(raw) }

func (v *vocabulary) parse(raw string) (Scope, error) {
	name, limit, limited := strings.Cut(raw, "!") // names of users may contain "!" and "=" too
	if !v.known(name) {
		return Scope{}, fmt.Errorf("%w: there is no scope %q", ErrInvalid, name)
	}
	if !limited {
		return Scope{Name: name}, nil
	}
	if name == Self || name == Inherit {
		return Scope{}, fmt.Errorf("%w: %q cannot be limited: %q", ErrInvalid, name, raw)
	}
	kind, value, named := strings.Cut(limit, "=")
	s := Scope{Name: name, Kind: Kind(kind), Value: value}
	switch {
	case !slices.Contains([]Kind{ByUser, ByGroup, ByServer, ByService}, s.Kind):
		return Scope{}, fmt.Errorf("%w: scopes are limited by user, group, server or service: %q", ErrInvalid, raw)
	case !named && s.Kind == ByGroup:
		return Scope{}, fmt.Errorf("%w: the group is not named: %q", ErrInvalid, raw)
	case named && value == "":
		return Scope{}, fmt.Errorf("%w: the %s has no name: %q", ErrInvalid, kind, raw)
	case named && s.Kind == ByServer && strings.Index(value, "/") < 1:
		return Scope{}, fmt.Errorf("%w: a server is named USER/SERVER: %q", ErrInvalid, raw)
	}
	return s, nil
}

// Validate fails with ErrInvalid for the first raw scope that Parse refuses.
func Validate(raw []string) error { return builtIn.validate(raw) }

func (v *vocabulary) validate(raw []string) error {
	for _, r := range raw {
		if _, err := v.parse(r); err != nil {
			return err
		}
	}
	return nil
}

// String returns the raw scope.
func (s Scope) String() string {
	switch {
	case s.Kind == Unlimited:
		return s.Name
	case s.Value == "":
		return s.Name + "!" + string(s.Kind)
	default:
		return s.Name + "!" + string(s.Kind) + "=" + s.Value
	}
}

// ContainsAll tells whether have holds every raw scope of want, letter by letter. Nothing is expanded: that is how consent once
// given is compared with what is asked for now.
func ContainsAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

// Object is what somebody wants to act on. The zero Object is everything: only an unlimited scope covers it.
type Object struct {
	kind   Kind
	name   string
	groups []string
}

// User is the user of that name, a member of these groups.
func User(name string, groups ...string) Object {
	return Object{kind: ByUser, name: name, groups: groups}
}

// Server is a server of a user who is a member of these groups; server "" is the default server.
func Server(user, server string, groups ...string) Object {
	return Object{kind: ByServer, name: FullName(user, server), groups: groups}
}

// Group is the group of that name, not its members.
func Group(name string) Object { return Object{kind: ByGroup, name: name} }

// Service is the service of that name.
func Service(name string) Object { return Object{kind: ByService, name: name} }

// ParseObject reads what [Object.String] writes; "" is everything, too. It fails with ErrInvalid.
func ParseObject(text string) (Object, error) {
	if text == "" || text == everything {
		return Object{}, nil
	}
	kind, name, named := strings.Cut(text, "=")
	o := Object{kind: Kind(kind), name: name}
	switch {
	case !slices.Contains([]Kind{ByUser, ByGroup, ByServer, ByService}, o.kind) || !named || name == "",
		o.kind == ByServer && strings.Index(name, "/") < 1:
		return Object{}, fmt.Errorf("%w: an object is written user=NAME, group=NAME, server=USER/SERVER or service=NAME, and not %q", ErrInvalid, text)
	}
	return o, nil
}

const everything = "everything"

// String writes the object as limits do: "user=alice", "server=alice/".
func (o Object) String() string {
	if o.kind == Unlimited {
		return everything
	}
	return string(o.kind) + "=" + o.name
}

// Owner is the name of the user whom the object is or belongs to; "" for groups, services and everything.
func (o Object) Owner() string {
	switch o.kind {
	case ByUser:
		return o.name
	case ByServer:
		user, _ := SplitFullName(o.name)
		return user
	default:
		return ""
	}
}

// In is the object with the groups of its user.
func (o Object) In(groups []string) Object {
	o.groups = groups
	return o
}

// FullName returns a server's name as scopes write it: "alice/" is the default server of alice.
func FullName(user, server string) string { return user + "/" + server }

// SplitFullName is the reverse of FullName. A user's name has no slash, a server's may have.
func SplitFullName(full string) (user, server string) {
	user, server, _ = strings.Cut(full, "/")
	return user, server
}
