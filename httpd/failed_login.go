package httpd

import (
	"context"
	"net/http"

	"github.com/nomadhub/nomadhub/hub"
)

// NoteFailedLogin has a login that failed written to the audit log. What was typed as a name is written down only if it is somebody's: people type their
// password there by mistake. An attempt that was not looked at costs no look into the database either.
func NoteFailedLogin(r *http.Request, find func(context.Context, string) (hub.User, error), authenticator, name string, err error) {
	target := "user"
	if hub.KindOf(err) == hub.TooMany {
		Note(r, "held_off", true)
	} else if name != "" {
		if u, err := find(r.Context(), hub.NormalizeUserName(name)); err == nil {
			target += "/" + u.Name
			Concerns(r, u)
		}
	}
	Did(r, "login", target)
	Note(r, "authenticator", authenticator)
}
