package compat

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// routes is what the stock hub takes for its proxy: the table that it writes over HTTP, and a listener that goes by it.
type routes struct {
	api, public *httptest.Server

	mu    sync.Mutex
	table map[string]json.RawMessage // by prefix without the last slash; "" leads to the hub
}

const routesPath = "/api/routes"

func newRoutes(t *testing.T) *routes {
	t.Helper()
	r := &routes{table: map[string]json.RawMessage{}}
	r.api = httptest.NewServer(http.HandlerFunc(r.serveTable))
	t.Cleanup(r.api.Close)
	r.public = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: r.rewrite, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	t.Cleanup(r.public.Close)
	return r
}

func (r *routes) serveTable(w http.ResponseWriter, req *http.Request) {
	route, ok := strings.CutPrefix(req.URL.Path, routesPath)
	if !ok {
		http.NotFound(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	route = strings.TrimRight(route, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	switch req.Method {
	case http.MethodPost:
		r.table[route] = body
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		delete(r.table, route)
		w.WriteHeader(http.StatusNoContent)
	default:
		all := map[string]json.RawMessage{}
		for prefix, route := range r.table {
			all[prefix+"/"] = route
		}
		_ = json.NewEncoder(w).Encode(all)
	}
}

// rewrite sends a request to the longest prefix, by whole segments.
func (r *routes) rewrite(p *httputil.ProxyRequest) {
	p.SetXForwarded()
	p.Out.Host = p.In.Host
	prefix := strings.TrimRight(p.In.URL.Path, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; ; prefix = prefix[:strings.LastIndexByte(prefix, '/')] {
		raw, ok := r.table[prefix]
		var route struct {
			Target string `json:"target"`
		}
		if ok && json.Unmarshal(raw, &route) == nil {
			if target, err := url.Parse(route.Target); err == nil {
				p.Out.URL.Scheme, p.Out.URL.Host = target.Scheme, target.Host
				return
			}
		}
		if prefix == "" {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "127.0.0.1:1" // nobody listens: 502
			return
		}
	}
}
