package routing

import (
	"errors"
	"fmt"
)

// ErrInvalid means that a binding cannot be right: it lacks a server, or its prefix or address is not one.
var ErrInvalid = errors.New("routing: not a valid binding")

// Validate fails with ErrInvalid when the binding cannot be published.
func (b Binding) Validate() error {
	switch {
	case b.Server == "":
		return fmt.Errorf("%w: the server has no ID", ErrInvalid)
	case !validPrefix(b.Prefix):
		return fmt.Errorf("%w: %q is not a path prefix", ErrInvalid, b.Prefix)
	case NormalAddress(b.Address) == "":
		return fmt.Errorf("%w: %q is not host:port", ErrInvalid, b.Address)
	}
	return nil
}

// Withdrawn tells whether this is not a binding but the mark that is left of one, so that neither a late writer nor a store that
// lost its contents can bring the old one back.
func (b Binding) Withdrawn() bool { return b.Address == "" }

// MayReplace tells whether b may be published over old. After a withdrawal only a newer generation may come, or a newer placement of the
// same one: the scheduler put the server elsewhere.
func (b Binding) MayReplace(old Binding) bool {
	if b.Generation != old.Generation {
		return b.Generation > old.Generation
	}
	if old.Withdrawn() {
		return b.Placement > old.Placement
	}
	return b.Placement >= old.Placement
}

// Withdraw returns the mark that takes the binding's place when a generation is withdrawn, or false if the binding is of a newer
// generation, or is withdrawn already, and stays as it is.
func (b Binding) Withdraw(generation int64) (Binding, bool) {
	if b.Generation > generation || b.Generation == generation && b.Withdrawn() {
		return Binding{}, false
	}
	mark := Binding{Server: b.Server, Generation: generation}
	if b.Generation == generation {
		mark.Placement = b.Placement
	}
	return mark, true
}
