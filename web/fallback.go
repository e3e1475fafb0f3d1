package web

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/hub"
)

// Fallback serves what is neither the hub's nor has a route: readers are sent to the same place below /hub/, where they are told what they can do; writers are
// refused. Where servers have hosts of their own, who asks for one at another host is sent there first.
func (h *Web) Fallback() http.Handler {
	return httpd.Versioned(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.refuseOutside(w, r)
			return
		}
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), h.urls.Base())
		if !ok {
			rest = strings.TrimLeft(r.URL.EscapedPath(), "/")
		}
		status, to := http.StatusFound, h.urls.Origin()+h.urls.Hub()+rest
		if kind, name, found := strings.Cut(rest, "/"); ok && found && name != "" && !strings.Contains(name, "/") && (kind == "user" || kind == "services") {
			status, to = http.StatusMovedPermanently, h.urls.Base()+rest+"/"
		}
		if at := h.urls.OnItsHost(r.URL.EscapedPath()); ok && strings.Contains(at, "://") && !h.isAt(r, at) {
			status, to = http.StatusFound, at
		}
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Cache-Control", "no-store") // tomorrow there may be a server
		redirect(w, to, status)
	}))
}

// isAt tells whether the request came to the host of an address.
func (h *Web) isAt(r *http.Request, address string) bool {
	u, err := url.Parse(address)
	return err == nil && h.urls.Serves(r.Host, u.Path)
}

// refuseOutside answers a write to a place where nothing is: as everywhere, first of all whether it comes from our own pages.
func (h *Web) refuseOutside(w http.ResponseWriter, r *http.Request) {
	p := problem(r, http.StatusMethodNotAllowed, "There is no server at this address, so nothing can be sent to it.")
	var session *hub.Session
	if who, err := h.sessions.Browser(r); err == nil {
		session = who.Session
	}
	if err := h.sessions.CheckXSRF(r, session, false); err != nil {
		p.Status, p.Message = http.StatusForbidden, "There is no server at this address. If yours was running here, start it again from the home page."
	}
	if h.wantsJSON(r) {
		httpd.RenderJSON(w, r, p)
		return
	}
	h.RenderError(w, r, p)
}

// wantsJSON tells a program from a person: it says so, or it speaks to an API of a server.
func (h *Web) wantsJSON(r *http.Request) bool {
	rest := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, h.urls.Base()), "hub/")
	if ofUser, ok := strings.CutPrefix(rest, "user/"); ok {
		_, rest, _ = strings.Cut(ofUser, "/") // somebody may be called "api"
	}
	return slices.Contains(strings.Split(rest, "/"), "api") || prefersJSON(r.Header.Get("Accept"))
}

// prefersJSON tells whether an Accept header names JSON before HTML. Wildcards name neither.
func prefersJSON(accept string) bool {
	quality := map[string]float64{}
	order := map[string]int{}
	for i, part := range strings.Split(accept, ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
		q := 1.0
		for p := range strings.SplitSeq(parameters, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(p), "q="); ok {
				if f, err := strconv.ParseFloat(v, 64); err == nil {
					q = f
				}
			}
		}
		if _, seen := quality[kind]; !seen {
			quality[kind], order[kind] = q, i
		}
	}
	const asJSON, asHTML = "application/json", "text/html"
	if quality[asJSON] == quality[asHTML] {
		return quality[asJSON] > 0 && order[asJSON] < order[asHTML]
	}
	return quality[asJSON] > quality[asHTML]
}
