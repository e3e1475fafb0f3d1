package web

import (
	"net/http"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// noteFailedLogin has a login that failed written to the audit log. What was typed as a name is written down only if it is somebody's: people type their
// password there by mistake.
func (h *Web) noteFailedLogin(r *http.Request, label, name string) {
	target := "user"
	if name != "" {
		if u, err := h.hub.UserByName(r.Context(), hub.NormalizeUserName(name)); err == nil {
			target += "/" + u.Name
			httpd.Concerns(r, u)
		}
	}
	httpd.Did(r, "login", target)
	httpd.Note(r, "authenticator", label)
}

// noteGroup names what a form on a group's page does.
func noteGroup(r *http.Request, group, action string) {
	name := "group.update"
	switch action {
	case "add":
		name = "group.member.add"
		httpd.Note(r, "users", userNames(r.PostFormValue("users")))
	case "remove":
		name = "group.member.remove"
		httpd.Note(r, "users", []string{r.PostFormValue("user")})
	case "properties":
		name = "group.properties"
	case "delete":
		name = "group.delete"
	}
	httpd.Did(r, name, "group/"+group)
}
