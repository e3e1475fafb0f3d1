package web

import (
	"net/http"

	"github.com/nomadhub/nomadhub/httpd"
)

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
