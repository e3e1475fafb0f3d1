package hub

import (
	"context"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/routing"
)

// ProxyRoute is a route of this process's proxy.
type ProxyRoute struct {
	Path    string // percent-encoded, with a slash at both ends
	Host    string // where only one host leads there; "": all do
	Target  string // the URL to which requests go
	Hub     bool   // it leads to the hub itself
	User    string // whose server it leads to; "": nobody's
	Server  string // the server's name
	Service string // the service that it leads to; "": none
}

// tabled is the ability of [Routes] to show all that it has.
type tabled interface{ Table() *routing.Table }

// ProxyRoutes returns one page of the routes of this process's proxy by path, the hub's own first, and how many there are.
func (h *Hub) ProxyRoutes(offset, limit int) (page []ProxyRoute, total int) {
	all := []ProxyRoute{{Path: h.urls.Base(), Host: h.urls.CookieDomain(), Target: strings.TrimSuffix(h.urls.APIForServers(), strings.TrimSuffix(h.urls.API(), "/")), Hub: true}}
	if t, ok := h.opts.Routes.(tabled); ok {
		for r := range t.Table().All() {
			all = append(all, h.proxyRoute(r))
		}
	}
	total = len(all)
	offset = min(offset, total)
	return slices.Clip(all[offset:min(offset+limit, total)]), total
}

// proxyRoute tells a route by its path: names hold no slash.
func (h *Hub) proxyRoute(r routing.Route) ProxyRoute {
	p := ProxyRoute{Path: h.urls.Base(), Host: h.urls.HostOf(r.Prefix), Target: "http://" + r.Address}
	segments := strings.Split(strings.Trim(strings.TrimPrefix(r.Prefix, h.urls.Base()), "/"), "/")
	for _, s := range segments {
		p.Path += EscapePath(s) + "/"
	}
	switch {
	case segments[0] == "user" && len(segments) > 1:
		p.User = segments[1]
		if len(segments) > 2 {
			p.Server = segments[2]
		}
	case segments[0] == "services" && len(segments) > 1:
		p.Service = segments[1]
	}
	return p
}

// CheckRoutes has the route of every server that is ready told again where this process's proxy does not have it, and waits a while for them.
func (h *Hub) CheckRoutes(ctx context.Context) error {
	ready, err := h.store.ServerBriefs(ctx, []ServerState{Ready})
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(ready, func(s ServerBrief) bool { return h.control.routed(s.ID, s.Generation, s.Instance) })
	if len(missing) == 0 {
		return nil
	}
	h.log.InfoContext(ctx, "routes are missing and told again", "routes", len(missing))
	missing = missing[:min(len(missing), repairMost)] // the next sweep has the others
	for i, s := range missing {
		h.control.tellAgain(s.ID)
		if i >= repairBurst && !sleep(ctx, repairInterval, nil) {
			return ctx.Err()
		}
	}
	if late := h.unrouted(ctx, routePatience, missing); len(late) > 0 {
		h.log.WarnContext(ctx, "routes are missing still", "routes", len(late))
	}
	return ctx.Err()
}

// tellAgain has a server's binding published again, whoever published it last.
func (c *controller) tellAgain(id string) {
	c.mu.Lock()
	delete(c.settled, id)
	c.mu.Unlock()
	c.own(id)
}

// TakeServersAlong says, from now on and whatever the configuration says, whether all servers are stopped when Run ends.
func (h *Hub) TakeServersAlong(stop bool) { h.takeAlong.Store(&stop) }

func (h *Hub) takesServersAlong() bool {
	if said := h.takeAlong.Load(); said != nil {
		return *said
	}
	return h.opts.StopServers
}
