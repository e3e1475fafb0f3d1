package api

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// mountProxy adds what is asked of the hub as a whole: its proxy, and its end.
func (a *API) mountProxy(r chi.Router) {
	r.With(a.need(anywhere("proxy"))).Get("/proxy", a.do(a.listRoutes))
	r.With(a.need(anywhere("proxy"))).Post("/proxy", a.do(a.checkRoutes))
	r.With(a.need(anywhere("proxy"))).Patch("/proxy", a.do(a.changeProxy))
	r.With(a.need(anywhere("shutdown"))).Post("/shutdown", a.do(a.shutdown))
}

// routeView is a route as JupyterHub's proxy shows it.
type routeView struct {
	Spec   string         `json:"routespec"`
	Target string         `json:"target"`
	Data   map[string]any `json:"data"`
}

func viewRoute(p hub.ProxyRoute) routeView {
	v := routeView{Spec: p.Host + p.Path, Target: p.Target, Data: map[string]any{}}
	switch {
	case p.Hub:
		v.Data["hub"] = true
	case p.User != "":
		v.Data["user"], v.Data["server_name"] = p.User, p.Server
	case p.Service != "":
		v.Data["service"] = p.Service
	}
	return v
}

// listRoutes answers with an object by path, in pages too.
func (a *API) listRoutes(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	routes, total := a.hub.ProxyRoutes(p.offset, p.limit)
	items := make(map[string]routeView, len(routes))
	for _, route := range routes {
		items[route.Host+route.Path] = viewRoute(route)
	}
	return p.write(w, r, a.urls, items, total)
}

func (a *API) checkRoutes(w http.ResponseWriter, r *http.Request) error {
	if err := a.hub.CheckRoutes(r.Context()); err != nil {
		return err
	}
	empty(w, http.StatusOK)
	return nil
}

// newProxy is where another proxy would be.
type newProxy struct {
	APIURL    *string `json:"api_url"`
	AuthToken *string `json:"auth_token"`
}

// changeProxy takes what JupyterHub's clients send when they have put up another proxy. The hub's own is a part of it, so all that is left to do is to check the routes.
func (a *API) changeProxy(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.Body(r)
	if err != nil {
		return err
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' {
		return hub.Errorf(hub.Invalid, "The body must be a JSON object with api_url, auth_token or both.")
	}
	var wanted newProxy
	if err := json.Unmarshal(body, &wanted); err != nil {
		return &hub.Error{Kind: hub.Invalid, Message: "The fields api_url and auth_token must be texts.", Err: err}
	}
	if wanted.APIURL != nil || wanted.AuthToken != nil {
		a.opts.Logger.WarnContext(r.Context(), "a request names another proxy; the hub's own is built in and stays")
	}
	return a.checkRoutes(w, r)
}

// shutdownBody says what ends with the hub.
type shutdownBody struct {
	Proxy   json.RawMessage `json:"proxy"`
	Servers json.RawMessage `json:"servers"`
}

// choice reads a field that is true, false or not there. JupyterHub refuses null here, and so what somebody may have meant is not guessed.
func choice(name string, field json.RawMessage) (*bool, error) {
	switch string(field) {
	case "":
		return nil, nil //nolint:nilnil // nothing was said
	case "true", "false":
		return new(string(field) == "true"), nil
	}
	return nil, hub.Errorf(hub.Invalid, "The field %s must be true or false.", name)
}

// shutdown ends this hub when the requests that it has are answered. Its proxy is a part of it and ends with it; servers go on, unless the request or the configuration
// says otherwise.
func (a *API) shutdown(w http.ResponseWriter, r *http.Request) error {
	body, err := httpd.DecodeLenient[shutdownBody](r)
	if err != nil {
		return err
	}
	if _, err := choice("proxy", body.Proxy); err != nil {
		return err
	}
	servers, err := choice("servers", body.Servers)
	if err != nil {
		return err
	}
	if a.opts.Shutdown == nil {
		return hub.Errorf(hub.Unavailable, "This hub cannot be ended by a request. Stop it where it was started.")
	}
	if servers != nil {
		a.hub.TakeServersAlong(*servers)
	}
	a.opts.Logger.InfoContext(r.Context(), "shutdown asked for", "by", httpd.Principal(r).User.Name, "servers", servers != nil && *servers)
	err = httpd.JSON(w, http.StatusAccepted, map[string]string{"message": "Shutting down Hub"})
	a.opts.Shutdown()
	return err
}
