package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// rule says who may use a route: whoever holds one of the scopes for what the path is about.
type rule struct {
	scopes []string
	about  about
	// lists is what a list is of; "": users.
	lists scope.Kind
	// unborn lets what the path names not exist yet.
	unborn bool
	// blunt refuses with 403 where others say 404.
	blunt bool
	// brief needs no more of the user than who it is, if the caller may do it for everybody.
	brief bool
}

// about is what a path names.
type about int

const (
	aboutAll     about = iota // nothing: the scope must not be narrowed
	aboutSome                 // a list: what the scope is narrowed to is what the list holds
	aboutUser                 // {name}
	aboutServer               // {name} and {server}, or the default server
	aboutGroup                // {group}
	aboutService              // {service}
)

func anywhere(scopes ...string) rule { return rule{scopes: scopes, about: aboutAll} }
func listing(scopes ...string) rule  { return rule{scopes: scopes, about: aboutSome} }
func onUser(scopes ...string) rule   { return rule{scopes: scopes, about: aboutUser} }

// onNewUser is for making the user of the path.
func onNewUser(scopes ...string) rule { return rule{scopes: scopes, about: aboutUser, unborn: true} }

// onUserBluntly is onUser, but says 403 also where others say 404.
func onUserBluntly(scopes ...string) rule { return rule{scopes: scopes, about: aboutUser, blunt: true} }

// onUserBriefly is onUser for what is asked for very often and needs no more of the user than who it is.
func onUserBriefly(scopes ...string) rule { return rule{scopes: scopes, about: aboutUser, brief: true} }

// listingGroups is for a list of groups, onGroup for the group of the path, and onNewGroup for making it.
func listingGroups(scopes ...string) rule {
	return rule{scopes: scopes, about: aboutSome, lists: scope.ByGroup}
}
func onGroup(scopes ...string) rule    { return rule{scopes: scopes, about: aboutGroup} }
func onNewGroup(scopes ...string) rule { return rule{scopes: scopes, about: aboutGroup, unborn: true} }

func onServer(scopes ...string) rule { return rule{scopes: scopes, about: aboutServer} }

// target is what a path names, as far as it exists.
type target struct {
	user   hub.User
	exists bool
	server string
	group  hub.Group
	// service is that of the path; if it does not exist, only its name.
	service hub.Service
}

type targetKey struct{}

// targetOf tells what the path of the request names.
func targetOf(r *http.Request) target {
	t, _ := r.Context().Value(targetKey{}).(target)
	return t
}

// errHidden is said of what does not exist and of what the caller may not see.
var errHidden = hub.Errorf(hub.NotFound, "There is no such thing, or you have no access to it.")

// guard is a handler behind a rule. The rule can be read from it: the description of the API, and the tests of who may do what, are made from the routes as
// they are mounted.
type guard struct {
	http.Handler

	rule rule
}

// need lets only those pass whom the rule allows. Who holds none of its scopes at all gets 403; who holds one for something else than what the path names gets
// 404. Where it names nothing there is nothing to hide: 403.
func (a *API) need(k rule) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return guard{rule: k, Handler: a.do(func(w http.ResponseWriter, r *http.Request) error {
			p := httpd.Principal(r)
			if !k.held(p) {
				return errScopes(k.scopes)
			}
			t, err := a.find(r, k, p)
			if err != nil {
				return err
			}
			httpd.Concerns(r, t.user)
			missing := k.about >= aboutUser && !t.exists && !k.unborn
			switch allowed := k.allows(p, t); {
			case !allowed && k.about <= aboutSome, (!allowed || missing) && k.blunt: // the path names nothing that could be hidden
				return errScopes(k.scopes)
			case !allowed, missing:
				return errHidden
			}
			next.ServeHTTP(w, httpd.With(r, targetKey{}, t))
			return nil
		})}
	}
}

func errScopes(scopes []string) error {
	return hub.Errorf(hub.Forbidden, "Your credentials do not allow this. It needs one of the scopes: %s.", strings.Join(scopes, ", "))
}

// find reads from the path what the request is about.
func (a *API) find(r *http.Request, k rule, p hub.Principal) (t target, err error) {
	switch {
	case k.about < aboutUser:
		return t, nil
	case k.about == aboutGroup:
		return a.findGroup(r)
	case k.about == aboutService:
		return a.findService(r)
	}
	name, err := httpd.Param(r, "name")
	if err != nil {
		return t, err
	}
	if t.server, err = httpd.Param(r, "server"); err != nil {
		return t, err
	}
	if p.User.ID != "" && p.User.Name == hub.NormalizeUserName(name) { // most ask about themselves, and were read to know who asks
		t.user, t.exists = p.User, true
		return t, nil
	}
	if k.brief && k.forEverybody(p) {
		t.user, err = a.hub.UserBrief(r.Context(), name)
	} else {
		t.user, err = a.hub.UserByName(r.Context(), name)
	}
	switch {
	case hub.KindOf(err) == hub.NotFound:
		t.user.Name = hub.NormalizeUserName(name)
		return t, nil
	case err != nil:
		return t, err
	}
	t.exists = true
	return t, nil
}

func (a *API) findGroup(r *http.Request) (t target, err error) {
	name, err := httpd.Param(r, "group")
	if err != nil {
		return t, err
	}
	t.group, err = a.hub.Group(r.Context(), name)
	switch {
	case hub.KindOf(err) == hub.NotFound:
		t.group.Name = name
		return t, nil
	case err != nil:
		return t, err
	}
	t.exists = true
	return t, nil
}

// held tells whether the principal holds any of the scopes, for anything at all.
func (k rule) held(p hub.Principal) bool {
	return slices.ContainsFunc(k.scopes, func(name string) bool { return p.Holds(name) }) // p.Holds by itself would be a copy of all that p is
}

// forEverybody tells whether the principal may do it whatever the path names.
func (k rule) forEverybody(p hub.Principal) bool {
	return slices.ContainsFunc(k.scopes, func(name string) bool { return p.Scopes.Filter(name).All() })
}

func (k rule) allows(p hub.Principal, t target) bool {
	return slices.ContainsFunc(k.scopes, func(name string) bool {
		switch k.about {
		case aboutAll:
			return p.Can(name, scope.Object{})
		case aboutSome:
			return k.selects(p.Scopes.Filter(name))
		case aboutUser:
			return p.Can(name, userObject(t.user))
		case aboutServer:
			return p.Can(name, serverObject(t.user, t.server))
		case aboutGroup:
			return p.Can(name, scope.Group(t.group.Name))
		case aboutService:
			return p.Can(name, scope.Service(t.service.Name))
		}
		return false
	})
}

// selects tells whether the list can be made from the filter: a limit to a user selects no group.
func (k rule) selects(f scope.Filter) bool {
	if k.lists == "" {
		return selectsUsers(f)
	}
	return f.All() || len(f.Names(k.lists)) > 0
}

// selectsUsers tells whether a list of users can be made from the filter: a limit to a server selects none.
func selectsUsers(f scope.Filter) bool {
	return f.All() || len(f.Names(scope.ByUser))+len(f.Names(scope.ByGroup)) > 0
}

func userObject(u hub.User) scope.Object { return scope.User(u.Name, u.Groups...) }

func serverObject(u hub.User, server string) scope.Object {
	return scope.Server(u.Name, server, u.Groups...)
}
