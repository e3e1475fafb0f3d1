package hub

import (
	"slices"

	"github.com/nomadhub/nomadhub/auth"
)

// Admission decides who may enter of those whom an authenticator vouches for. Rules that allow only add; only BlockedUsers takes away.
type Admission struct {
	AllowAll      bool     // everybody whom an authenticator vouches for
	AllowedUsers  []string // normalised names
	AllowedGroups []string // members of any
	BlockedUsers  []string // wins over everything else
	AdminUsers    []string // may enter, and are administrators
}

// SetAdmission puts other rules in force. Somebody who is blocked now is out at once; who is only no longer allowed stays until their session ends.
func (h *Hub) SetAdmission(a Admission) { h.admission.Store(&a) }

// Opens tells whether any rule lets anybody in.
func (a Admission) Opens() bool {
	return a.AllowAll || len(a.AllowedUsers)+len(a.AllowedGroups)+len(a.AdminUsers) > 0
}

// verdict is what Admission decides of one identity.
type verdict struct {
	allowed bool
	admin   *bool // nil: leave as it is
}

// blocks tells whether nobody of this normalised name may enter.
func (a Admission) blocks(name string) bool { return slices.Contains(a.BlockedUsers, name) }

// decide judges an identity under the normalised name of its account. trusted is for a way in that only the operator can open (the one-time admin link).
func (a Admission) decide(name string, id auth.Identity, trusted bool) verdict {
	if a.blocks(name) {
		return verdict{}
	}
	v := verdict{admin: id.Admin}
	if slices.Contains(a.AdminUsers, name) {
		yes := true
		v.admin = &yes
	}
	admin := v.admin != nil && *v.admin
	v.allowed = trusted || admin || a.AllowAll || slices.Contains(a.AllowedUsers, name) ||
		slices.ContainsFunc(id.Groups, func(g string) bool { return slices.Contains(a.AllowedGroups, g) })
	return v
}
