package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// Route is one method at one path, and who may use it.
type Route struct {
	Method, Path string
	// Scopes are those of which a caller needs one. None: whoever reaches the route may use it; whether that takes credentials is for the description to say.
	Scopes []string
	// About is what the scope has to cover: "all", "some", "user", "server" and so on; "" where no scope is needed.
	About string
}

// Routes lists what the API serves, by path and method, as it is mounted: no route can be missing.
func (a *API) Routes() ([]Route, error) {
	root := chi.NewRouter()
	a.Mount(root)
	return routesOf(root)
}

func routesOf(root chi.Routes) (routes []Route, err error) {
	err = chi.Walk(root, func(method, path string, _ http.Handler, around ...func(http.Handler) http.Handler) error {
		route := Route{Method: method, Path: path}
		if k, ok := ruleOf(around); ok {
			route.Scopes, route.About = k.scopes, k.about.String()
		}
		routes = append(routes, route)
		return nil
	})
	slices.SortFunc(routes, func(x, y Route) int {
		return strings.Compare(x.Path+" "+x.Method, y.Path+" "+y.Method)
	})
	return routes, err
}

// ruleOf finds the rule among what stands around a handler.
func ruleOf(around []func(http.Handler) http.Handler) (rule, bool) {
	for _, wrap := range around {
		if g, ok := wrap(http.NotFoundHandler()).(guard); ok {
			return g.rule, true
		}
	}
	return rule{}, false
}

// String names what a rule is about, as descriptions do.
func (o about) String() string {
	switch o {
	case aboutAll:
		return "all"
	case aboutSome:
		return "some"
	case aboutUser:
		return "user"
	case aboutServer:
		return "server"
	case aboutGroup:
		return "group"
	case aboutService:
		return "service"
	}
	return "something else"
}
