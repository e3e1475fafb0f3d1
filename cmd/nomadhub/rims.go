package main

import (
	"net/http"
	"strings"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/web"
)

// consent has the pages show what the OAuth provider asks a visitor. Neither of the two knows the other.
func consent(site *web.Web) func(http.ResponseWriter, *http.Request, oauth.ConsentPage) error {
	return func(w http.ResponseWriter, r *http.Request, p oauth.ConsentPage) error {
		c := web.Consent{
			User: p.User, Owner: p.Owner, Service: p.Service, Description: p.Description, Action: p.Action, XSRF: p.XSRF, Home: p.Home,
		}
		for _, s := range p.Scopes {
			c.Scopes = append(c.Scopes, web.ConsentScope(s))
		}
		return site.ShowConsent(w, r, c)
	}
}

// info says what the hub is made of, for administrators who ask the API.
func info(cfg config.Config) api.Info {
	spawner := "local"
	if cfg.Nomad != nil {
		spawner = "nomad"
	}
	var ways []string
	for _, a := range cfg.Authenticators {
		ways = append(ways, a.Type)
	}
	return api.Info{
		Version: version, Spawner: api.Part{Class: spawner, Version: version},
		Authenticator: api.Part{Class: strings.Join(ways, ","), Version: version},
	}
}
