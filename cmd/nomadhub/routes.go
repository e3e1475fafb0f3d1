package main

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/hashicorp/consul/api"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/consul"
	"github.com/nomadhub/nomadhub/routing/static"
)

// routes are where requests for servers go, and how the hub says so.
type routes struct {
	router    *routing.Router
	publisher routing.Publisher
	// services are beside the routes to servers, which win where both claim one address.
	services    *static.List
	serviceName func(serverID string) string // nil: servers are not registered anywhere
}

// openRoutes takes the routes from Consul, or keeps them in this process for a hub that runs servers by itself.
func openRoutes(cfg config.Config, keys routing.Signer, registerer prometheus.Registerer, log *slog.Logger) (*routes, error) {
	r := &routes{services: static.NewList()}
	source := routing.NamedSource{Name: "static"}
	if c := cfg.Consul; c != nil {
		conf := api.DefaultConfig()
		conf.Address = cmp.Or(c.Address, conf.Address)
		registry, err := consul.New(consul.Options{
			Config: conf, TokenFile: c.TokenFile, Signer: keys, Prefix: c.Prefix, Service: c.ServicePrefix, Logger: log, Registerer: registerer,
		})
		if err != nil {
			return nil, err
		}
		source, r.publisher = routing.NamedSource{Name: "consul", Source: registry}, registry
		r.serviceName = func(id string) string { return consul.ServiceName(c.ServicePrefix, id) }
	} else {
		registry := static.New()
		source.Source, r.publisher = registry, registry
	}
	var err error
	r.router, err = routing.NewRouter(routing.RouterOptions{Sources: []routing.NamedSource{source, {Name: "services", Source: r.services}}, Logger: log, Registerer: registerer})
	return r, err
}

// trustForwarded believes what proxies before us say of where a request came from, and nobody else.
func trustForwarded(networks []string) func(*http.Request) bool {
	var prefixes []netip.Prefix
	for _, n := range networks {
		if p, err := netip.ParsePrefix(n); err == nil { // config.Validate has refused anything else
			prefixes = append(prefixes, p)
		}
	}
	return func(r *http.Request) bool {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false
		}
		for _, p := range prefixes {
			if p.Contains(peer.Addr().Unmap()) {
				return true
			}
		}
		return false
	}
}
