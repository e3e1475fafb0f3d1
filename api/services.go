package api

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

func (a *API) mountServices(r chi.Router) {
	r.With(a.need(listingServices("list:services"))).Get("/services", a.do(a.listServices))
	r.With(a.need(onService("read:services", "read:services:name", "read:roles:services"))).Get("/services/{service}", a.do(a.getService))
	r.With(a.need(onNewService("admin:services"))).Post("/services/{service}", a.do(a.createService))
	r.With(a.need(onService("admin:services"))).Delete("/services/{service}", a.do(a.deleteService))
}

// listingServices is for a list of services, onService for the service of the path, and onNewService for making it.
func listingServices(scopes ...string) rule {
	return rule{scopes: scopes, about: aboutSome, lists: scope.ByService}
}
func onService(scopes ...string) rule { return rule{scopes: scopes, about: aboutService} }
func onNewService(scopes ...string) rule {
	return rule{scopes: scopes, about: aboutService, unborn: true}
}

// findService reads the service of the path.
func (a *API) findService(r *http.Request) (t target, err error) {
	name, err := httpd.Param(r, "service")
	if err != nil {
		return t, err
	}
	t.service, err = a.hub.Service(r.Context(), name)
	if err != nil && hub.KindOf(err) == hub.NotFound {
		t.service.Name = name
		return t, nil
	}
	t.exists = err == nil
	return t, err
}

// service shows a service. It is empty if the caller may read nothing of it.
func (v *viewer) service(s hub.Service, state hub.ServiceState, roles []string) map[string]any {
	m, on := map[string]any{}, scope.Service(s.Name)
	if v.scopes.Has("read:services", on) {
		m["url"], m["prefix"], m["command"], m["pid"] = s.URL, "", append([]string{}, s.Command...), state.PID
		if s.URL != "" {
			m["prefix"] = v.urls.Service(s.Name)
		}
		m["info"], m["display"] = s.Info, s.Display
		if s.Info == nil {
			m["info"] = map[string]any{}
		}
		m["healthy"] = nil
		if !state.Checked.IsZero() {
			m["healthy"] = state.Up
		}
	}
	if v.scopes.Has("read:roles:services", on) {
		m["roles"] = append([]string{}, roles...)
	}
	if len(m) > 0 || v.scopes.Has("read:services:name", on) {
		m["kind"], m["name"], m["admin"] = "service", s.Name, s.Admin
	}
	return m
}

func (a *API) viewService(v *viewer, s hub.Service) map[string]any {
	return v.service(s, a.hub.ServiceState(s.Name), a.hub.Roles().RolesOfService(s.Name, s.Admin))
}

// whoamiService is whoami for a service, which may always read its own name.
func (a *API) whoamiService(w http.ResponseWriter, p hub.Principal) error {
	owner := scope.Owner{Service: p.Service.Name}
	v := newViewer(scope.Union(p.Scopes, scope.Expand(scope.Identify(owner), owner)), a.hub.Roles(), a.urls)
	m := a.viewService(v, *p.Service)
	m["scopes"], m["session_id"], m["token_id"] = p.Scopes.Names(), nil, nil
	if p.Token != nil {
		m["token_id"] = tokenID(p.Token.ID)
	}
	return httpd.JSON(w, http.StatusOK, m)
}

// listServices answers with an object, where lists of others are arrays, and is not paged.
func (a *API) listServices(w http.ResponseWriter, r *http.Request) error {
	all, err := a.hub.Services(r.Context())
	if err != nil {
		return err
	}
	v, list := a.viewer(r), map[string]any{}
	for _, s := range all {
		if !v.scopes.Has("list:services", scope.Service(s.Name)) {
			continue
		}
		if m := a.viewService(v, s); len(m) > 0 {
			list[s.Name] = m
		}
	}
	return httpd.JSON(w, http.StatusOK, list)
}

func (a *API) getService(w http.ResponseWriter, r *http.Request) error {
	return httpd.JSON(w, http.StatusOK, a.viewService(a.viewer(r), targetOf(r).service))
}

// serviceBody is what may be said of a new service. As in JupyterHub, a name may be there and means nothing: it is the path's.
type serviceBody struct {
	Name          string            `json:"name"`
	Admin         bool              `json:"admin"`
	URL           string            `json:"url"`
	Token         string            `json:"api_token"`
	Command       []string          `json:"command"`
	Directory     string            `json:"cwd"`
	User          string            `json:"user"`
	Environment   map[string]string `json:"environment"`
	Info          map[string]any    `json:"info"`
	Display       *bool             `json:"display"`
	ClientID      string            `json:"oauth_client_id"`
	RedirectURI   string            `json:"oauth_redirect_uri"`
	AllowedScopes []string          `json:"oauth_client_allowed_scopes"`
	NoConfirm     bool              `json:"oauth_no_confirm"`
}

func (b serviceBody) wish(name string) hub.NewService {
	return hub.NewService{Token: b.Token, Service: hub.Service{
		Name: name, Admin: b.Admin, URL: b.URL, Command: b.Command, Directory: b.Directory, User: b.User, Environment: b.Environment, Info: b.Info,
		Display: b.Display == nil || *b.Display, ClientID: b.ClientID, RedirectURI: b.RedirectURI, AllowedScopes: b.AllowedScopes, NoConfirm: b.NoConfirm,
	}}
}

func (a *API) createService(w http.ResponseWriter, r *http.Request) error {
	t := targetOf(r)
	if t.exists {
		return hub.Errorf(hub.Conflict, "The service %s exists already.", t.service.Name)
	}
	body, err := httpd.Decode[*serviceBody](r)
	if err != nil {
		return err
	}
	if body == nil {
		return hub.Errorf(hub.Invalid, "Say what the service is, as a JSON object. It may be empty: {}.")
	}
	s, err := a.hub.CreateService(r.Context(), httpd.Principal(r), body.wish(t.service.Name))
	if err != nil {
		return err
	}
	return httpd.JSON(w, http.StatusCreated, a.viewService(a.viewer(r), s))
}

func (a *API) deleteService(w http.ResponseWriter, r *http.Request) error {
	err := a.hub.DeleteService(r.Context(), targetOf(r).service.Name)
	if errors.Is(err, hub.ErrServiceConfigured) {
		w.Header().Set("Allow", "GET, OPTIONS")
		httpd.RenderJSON(w, r, httpd.Problem{Status: http.StatusMethodNotAllowed, Message: hub.ErrServiceConfigured.Message})
		return nil
	}
	if err != nil {
		return err
	}
	empty(w, http.StatusOK)
	return nil
}
