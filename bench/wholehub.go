package main

import (
	"maps"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/auth"
	"github.com/nomadhub/nomadhub/auth/dummy"
	"github.com/nomadhub/nomadhub/httpd"
	"github.com/nomadhub/nomadhub/oauth"
	"github.com/nomadhub/nomadhub/web"
)

// makeWhole adds to the parts of a hub what the program has beside its API: pages, OAuth and the audit log.
func (f *fakeHub) makeWhole(p *httpd.Parts, sessions *httpd.Sessions) error {
	everybody, err := dummy.Open(dummy.Config{}, "dummy")
	if err != nil {
		return err
	}
	site, err := web.New(web.Options{Hub: f.hub, Sessions: sessions, Logger: p.Log, Authenticators: []auth.Authenticator{everybody}, HomeFirst: true})
	if err != nil {
		return err
	}
	provider, err := oauth.New(oauth.Options{Hub: f.hub, Sessions: sessions, Logger: p.Log, RenderPage: site.RenderError})
	if err != nil {
		return err
	}
	p.Pages = func(r chi.Router) { site.Mount(r) }
	p.OAuth, p.RenderPage, p.Auditor = provider.Mount, site.RenderError, f.hub
	p.Acts = api.Acts()
	maps.Copy(p.Acts, web.Acts())
	maps.Copy(p.Acts, oauth.Acts())
	return nil
}

// tellSecret answers with the secret that a user's server was given: with it the server is a client of OAuth.
func (f *fakeHub) tellSecret(w http.ResponseWriter, r *http.Request) {
	secret, there := f.secrets.Load(r.URL.Query().Get("user"))
	if !there {
		http.Error(w, "that user has no server", http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte(secret.(string))) //nolint:forcetypeassert // nothing else is kept there
}
