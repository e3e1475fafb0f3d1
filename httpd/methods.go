package httpd

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
)

// WrongMethod answers, in JSON, for paths that exist, and says with which methods. routes are those that it stands beside.
func WrongMethod(routes chi.Routes) http.HandlerFunc {
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	return func(w http.ResponseWriter, r *http.Request) {
		path := chi.RouteContext(r.Context()).RoutePath
		allowed := []string{http.MethodOptions}
		for _, m := range methods {
			if routes.Match(chi.NewRouteContext(), m, path) {
				allowed = append(allowed, m)
			}
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		RenderJSON(w, r, Problem{Status: http.StatusMethodNotAllowed, Message: "The method " + r.Method + " is not offered at this address."})
	}
}
