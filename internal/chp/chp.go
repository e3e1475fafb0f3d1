// Package chp stands in for configurable-http-proxy, the proxy that a stock JupyterHub drives over HTTP. Tests and measurements compare with JupyterHub's own
// work, and need neither Node.js nor what a proxy of its own would cost.
//
//	table := &chp.Table{}
//	api := httptest.NewServer(table)               // c.ConfigurableHTTPProxy.api_url = api.URL
//	public := httptest.NewServer(table.Forward())  // what browsers open
package chp

import (
	"encoding/json"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

const (
	// root is where JupyterHub asks for its proxy's routes.
	root = "/api/routes"
	// mostBody is how long the description of one route may be, in bytes.
	mostBody = 1 << 20
)

// A Table is the routes that JupyterHub has told of. The zero value has none. It may be used by many at once.
type Table struct {
	mu     sync.Mutex
	routes map[string]route // by decoded path, with a slash at its beginning and none at its end: "/" leads to the hub
}

type route struct {
	target *url.URL
	data   json.RawMessage // as it was told
}

// ServeHTTP is the REST API by which JupyterHub adds, removes and lists routes. It asks for no token: it is for the loopback interface.
func (t *Table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, root)
	if !ok {
		http.NotFound(w, r)
		return
	}
	path = "/" + strings.Trim(path, "/")
	switch r.Method {
	case http.MethodPost:
		t.add(w, r, path)
	case http.MethodDelete:
		t.remove(w, r, path)
	case http.MethodGet:
		t.list(w)
	default:
		http.Error(w, "Routes are listed with GET, added with POST and removed with DELETE.", http.StatusMethodNotAllowed)
	}
}

func (t *Table) add(w http.ResponseWriter, r *http.Request, path string) {
	var data json.RawMessage
	var said struct {
		Target string `json:"target"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody)).Decode(&data)
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	target, badURL := url.Parse(said.Target)
	if err != nil || badURL != nil || target.Host == "" {
		http.Error(w, "A route needs a target, which is a URL.", http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routes == nil {
		t.routes = map[string]route{}
	}
	t.routes[path] = route{target: target, data: data}
	w.WriteHeader(http.StatusCreated)
}

func (t *Table) remove(w http.ResponseWriter, r *http.Request, path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.routes[path]; !ok {
		http.NotFound(w, r)
		return
	}
	delete(t.routes, path)
	w.WriteHeader(http.StatusNoContent)
}

func (t *Table) list(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(t.all())
}

func (t *Table) all() map[string]json.RawMessage {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string]json.RawMessage, len(t.routes))
	for path, r := range t.routes {
		all[path] = r.data
	}
	return all
}

// Clear forgets all routes.
func (t *Table) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.routes)
}

// Below counts the routes whose path begins with the prefix: "/user/" for those of users' servers.
func (t *Table) Below(prefix string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for path := range t.routes {
		if strings.HasPrefix(path, prefix) {
			n++
		}
	}
	return n
}

// Forward is the public side: each request goes to the route with the longest path, by whole segments, with all that it brings. Where there is no route, or nobody
// listens, the answer is an empty 502; the pages that JupyterHub has for this case are not asked for.
func (t *Table) Forward() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetXForwarded()
			p.Out.Host = p.In.Host
			if target := t.find(p.In.URL.Path); target != nil {
				p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
			}
		},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// find returns where a path leads, nil if nowhere.
func (t *Table) find(path string) *url.URL {
	path = strings.TrimRight(path, "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	for path != "" {
		if r, ok := t.routes[path]; ok {
			return r.target
		}
		path = path[:max(0, strings.LastIndexByte(path, '/'))]
	}
	return t.routes["/"].target
}
