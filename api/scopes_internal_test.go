package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/internal/hubtest"
)

// what stands for the parameters of paths. alice is in physics.
var pathValues = map[string]string{
	"name": "alice", "owner": "alice", "user": "alice", "server": "lab", "group": "physics", "service": "grader",
}

var parameter = regexp.MustCompile(`\{([^}:]+)[^}]*\}`)

// concrete fills in the parameters of a path.
func concrete(path string) string {
	return parameter.ReplaceAllStringFunc(path, func(p string) string {
		if v, ok := pathValues[parameter.FindStringSubmatch(p)[1]]; ok {
			return v
		}
		return "x1"
	})
}

// Concrete is for the tests outside of this package.
func Concrete(path string) string { return concrete(path) }

// limits are the ways to narrow a scope that are tried at each route.
var limits = []string{
	"", "!user=alice", "!user=bob", "!group=physics", "!group=chemistry", "!server=alice/lab", "!server=alice/", "!server=bob/lab",
	"!service=grader", "!service=other",
}

// covers says, from the protocol's words and not from the code under test, whether a scope with this limit holds for what a route is about.
func covers(k rule, path, limit string) bool {
	_, limit, _ = strings.Cut(limit, "!")
	if limit == "" {
		return true
	}
	server := "server=alice/"
	if strings.Contains(path, "{server}") {
		server += "lab"
	}
	switch k.about {
	case aboutAll:
		return false
	case aboutSome:
		switch k.lists {
		case "", scope.ByUser:
			return strings.HasPrefix(limit, "user=") || strings.HasPrefix(limit, "group=")
		default:
			return strings.HasPrefix(limit, string(k.lists)+"=")
		}
	case aboutUser:
		return limit == "user=alice" || limit == "group=physics"
	case aboutServer:
		return limit == "user=alice" || limit == "group=physics" || limit == server
	case aboutGroup:
		return limit == "group=physics"
	case aboutService:
		return limit == "service=grader"
	}
	return false
}

// verdict is what the route has to say to who holds this scope alone: 403, 404, or 200 for going on.
func verdict(k rule, path, raw string) int {
	held := scope.Expand([]string{raw}, scope.Owner{User: "alice"}).Names()
	held = slices.DeleteFunc(held, func(have string) bool {
		name, _, _ := strings.Cut(have, "!")
		return !slices.Contains(k.scopes, name)
	})
	switch {
	case len(held) == 0:
		return http.StatusForbidden
	case slices.ContainsFunc(held, func(have string) bool { return covers(k, path, have) }):
		return http.StatusOK
	case k.blunt, k.about == aboutAll, k.about == aboutSome:
		return http.StatusForbidden
	}
	return http.StatusNotFound
}

// door is a route that needs a scope, with its guard as it is mounted, before a handler that only says that it was reached.
type door struct {
	method, path string
	rule         rule
	handler      http.Handler
}

// doors are all there are.
func doors(t *testing.T, a *API) (doors []door) {
	t.Helper()
	root := chi.NewRouter()
	a.Mount(root)
	reached := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	err := chi.Walk(root, func(method, path string, _ http.Handler, around ...func(http.Handler) http.Handler) error {
		k, ok := ruleOf(around)
		if !ok {
			return nil
		}
		if k.about.String() == about(-1).String() {
			t.Fatalf("%s %s is about something that these tests do not know. Teach covers and about.String about it.", method, path)
		}
		r := chi.NewRouter()
		r.With(a.need(k)).Method(method, path, reached)
		doors = append(doors, door{method, path, k, r})
		return nil
	})
	if err != nil || len(doors) < 40 {
		t.Fatalf("only %d routes need a scope, %v", len(doors), err)
	}
	return doors
}

// newGuarded is an API whose hub has what the paths name, and others beside.
func newGuarded(t *testing.T) (*API, hub.User) {
	t.Helper()
	b := hubtest.New(t)
	var alice hub.User
	for name, group := range map[string]string{"alice": "physics", "bob": "chemistry"} {
		id := auth.Identity{Provider: "test", Subject: name, Name: name, Groups: []string{group}}
		_, u, err := b.Hub.Login(t.Context(), id, hub.Browser{}, hub.LoginOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if name == "alice" {
			alice = u
		}
	}
	if err := b.Hub.SetServices(t.Context(), []hub.ConfiguredService{{Service: hub.Service{Name: "grader"}}}); err != nil {
		t.Fatal(err)
	}
	a, err := New(Options{Hub: b.Hub, Sessions: b.Sessions, Logger: b.Log})
	if err != nil {
		t.Fatal(err)
	}
	return a, alice
}

// TestA10_EachScopeAtEachRoute asks at every route with each scope alone, as it is and narrowed to what the path names, to what contains that, and to something
// else. Routes come from the router and scopes from their table, so neither can be forgotten.
func TestA10_EachScopeAtEachRoute(t *testing.T) {
	t.Parallel()
	a, alice := newGuarded(t)
	asked, let := 0, 0
	for _, d := range doors(t, a) {
		once := false
		for name := range scope.All() {
			limits := limits
			if verdict(d.rule, d.path, name) == http.StatusForbidden {
				limits = limits[:3] // a scope that is none of the route's does not become one by a limit
			}
			for _, limit := range limits {
				raw := name + limit
				r := httptest.NewRequestWithContext(t.Context(), d.method, concrete(d.path), nil)
				p := hub.Principal{User: alice, Scopes: scope.Expand([]string{raw}, scope.Owner{User: "alice"})}
				w := httptest.NewRecorder()
				d.handler.ServeHTTP(w, httpd.WithPrincipal(r, p))
				want := verdict(d.rule, d.path, raw)
				if w.Code != want {
					t.Errorf("%s %s with %s: %d, want %d", d.method, d.path, raw, w.Code, want)
				}
				asked++
				if want == http.StatusOK {
					let, once = let+1, true
				}
			}
		}
		if !once {
			t.Errorf("%s %s: no scope opens it", d.method, d.path)
		}
	}
	if asked < 8000 || let < 300 || let > asked/4 {
		t.Errorf("%d requests, of which %d went on: the test does not ask what it should", asked, let)
	}
}
