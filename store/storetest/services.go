package storetest

import (
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func services() []test {
	return []test{
		{"A service comes back as it was stored", func(f fixture) {
			want := hub.Service{
				Name: "cull-idle", Origin: hub.FromAPI, Admin: true, URL: "http://10.0.0.5:9000", Command: []string{"a", `b "c"`}, Directory: "/srv",
				User: "nobody", Environment: map[string]string{"A": "ü=\x01"}, Info: map[string]any{"n": 1.5, "deep": []any{nil, "x\u2028"}}, Display: true,
				ClientID: "service-x", RedirectURI: "https://x.example.org/cb", AllowedScopes: []string{"read:users!user", "custom:a:b"}, NoConfirm: true, Created: noon,
			}
			f.must(f.store.CreateService(f.ctx, want))
			got, err := f.store.Service(f.ctx, want.Name)
			f.must(err)
			f.same("the service", got, want)
		}},
		{"A name is taken once, and the unknown is not found", func(f fixture) {
			f.service("one")
			f.wants(f.store.CreateService(f.ctx, hub.Service{Name: "one", Origin: hub.FromAPI}), hub.ErrExists)
			_, err := f.store.Service(f.ctx, "two")
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.Service(f.ctx, "on\x00e")
			f.wants(err, hub.ErrNotFound)
			f.wants(f.store.DeleteService(f.ctx, "two"), hub.ErrNotFound)
			f.same("the kind of error", hub.KindOf(f.store.CreateService(f.ctx, hub.Service{Name: "thr\xffee", Origin: hub.FromAPI})), hub.Invalid)
		}},
		{"A service is put again: it keeps its age and its tokens", func(f fixture) {
			s := f.service("one")
			t := f.token(hub.Token{Service: "one", Note: "kept"})
			s.URL, s.Origin, s.Display = "http://10.0.0.6:1", hub.FromConfig, false
			later := s
			later.Created = noon.Add(time.Hour)
			f.must(f.store.PutService(f.ctx, later))
			got, err := f.store.Service(f.ctx, "one")
			f.must(err)
			f.same("the service", got, s)
			f.serviceTokens("one", t)
		}},
		{"Services are listed by name", func(f fixture) {
			b, a, upper := f.service("b"), f.service("a"), f.service("B")
			got, err := f.store.Services(f.ctx)
			f.must(err)
			f.same("the services", got, []hub.Service{upper, a, b})
		}},
		{"A run of a service is begun once, placed while it is the present one, and goes with its service", func(f fixture) {
			f.service("one")
			first := hub.ServiceRun{Service: "one", Generation: 7, Salt: []byte{0, 1}, Mark: []byte{2}, Token: hashOf("a")}
			f.wants(f.store.BeginServiceRun(f.ctx, first, 6), hub.ErrStale)
			f.must(f.store.BeginServiceRun(f.ctx, first, 0))
			f.wants(f.store.BeginServiceRun(f.ctx, first, 0), hub.ErrStale)
			placed := first
			placed.Instance, placed.Address = "an-allocation", "10.0.0.5:9000"
			f.must(f.store.PlaceServiceRun(f.ctx, placed))
			f.serviceRuns(placed)
			second := hub.ServiceRun{Service: "one", Generation: 9, Salt: []byte{3}, Mark: []byte{4}, Token: hashOf("b")}
			f.must(f.store.BeginServiceRun(f.ctx, second, 7))
			f.wants(f.store.BeginServiceRun(f.ctx, first, 7), hub.ErrStale)
			f.wants(f.store.PlaceServiceRun(f.ctx, placed), hub.ErrStale)
			f.serviceRuns(second)
			f.must(f.store.DeleteService(f.ctx, "one"))
			f.serviceRuns()
			f.wants(f.store.BeginServiceRun(f.ctx, first, 0), hub.ErrStale)
		}},
		{"A token belongs to a service, which must be there, or to a user, and not to both or neither", func(f fixture) {
			f.service("one")
			made := f.token(hub.Token{Service: "one", Scopes: []string{"inherit"}, Created: noon})
			got, err := f.store.TokenByHash(f.ctx, made.Hash)
			f.must(err)
			f.same("the token", got, made)
			_, err = f.store.CreateToken(f.ctx, hub.Token{Service: "two", Hash: hashOf("a")})
			f.wants(err, hub.ErrNotFound)
			for _, t := range []hub.Token{{}, {Service: "one", UserID: f.user("ada").ID}} {
				t.Hash = hashOf(newID())
				if _, err := f.store.CreateToken(f.ctx, t); err == nil {
					f.Errorf("a token of %q and %q was stored", t.UserID, t.Service)
				}
			}
		}},
		{"A service's tokens are listed and revoked by service", func(f fixture) {
			f.service("one")
			f.service("two")
			a, b, other := f.token(hub.Token{Service: "one"}), f.token(hub.Token{Service: "one"}), f.token(hub.Token{Service: "two"})
			f.token(hub.Token{UserID: f.user("one").ID, Note: "a user of the same name"})
			f.serviceTokens("one", a, b)
			f.must(f.store.DeleteTokensOfService(f.ctx, "one", b.Hash, hashOf("none")))
			f.serviceTokens("one", b)
			f.must(f.store.DeleteTokensOfService(f.ctx, "one"))
			f.must(f.store.DeleteTokensOfService(f.ctx, ""))
			f.serviceTokens("one")
			f.serviceTokens("two", other)
		}},
		{"A service's clients come back, and go when they are not the one to keep", func(f fixture) {
			f.service("one")
			u := f.user("ada")
			old, kept := f.serviceClient("one", "service-old"), f.serviceClient("one", "service-one")
			code := f.code(u, old)
			f.token(hub.Token{UserID: u.ID, ClientID: old.ID, Note: "old"})
			f.token(hub.Token{UserID: u.ID, ClientID: kept.ID, Note: "kept"})
			got, err := f.store.Client(f.ctx, kept.ID)
			f.must(err)
			f.same("the client", got, kept)
			f.must(f.store.DeleteClientsOfService(f.ctx, "one", kept.ID))
			f.must(f.store.DeleteClientsOfService(f.ctx, "", ""))
			_, err = f.store.Client(f.ctx, old.ID)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.CodeByHash(f.ctx, code.Hash)
			f.wants(err, hub.ErrNotFound)
			f.notes(u, "kept")
			f.wants(f.store.PutClient(f.ctx, hub.OAuthClient{ID: "service-two", Service: "two"}), hub.ErrNotFound)
		}},
		{"With a service go its tokens, its clients and what these were given", func(f fixture) {
			f.service("one")
			f.service("two")
			u := f.user("ada")
			gone, kept := f.serviceClient("one", "service-one"), f.serviceClient("two", "service-two")
			f.token(hub.Token{Service: "one"})
			stays := f.token(hub.Token{Service: "two"})
			code := f.code(u, gone)
			f.token(hub.Token{UserID: u.ID, ClientID: gone.ID, Note: "gone"})
			f.token(hub.Token{UserID: u.ID, ClientID: kept.ID, Note: "kept"})
			f.must(f.store.DeleteService(f.ctx, "one"))
			_, err := f.store.Client(f.ctx, gone.ID)
			f.wants(err, hub.ErrNotFound)
			_, err = f.store.CodeByHash(f.ctx, code.Hash)
			f.wants(err, hub.ErrNotFound)
			f.serviceTokens("one")
			f.serviceTokens("two", stays)
			f.notes(u, "kept")
		}},
	}
}

func (f fixture) service(name string) hub.Service {
	f.Helper()
	s := hub.Service{Name: name, Origin: hub.FromAPI, URL: "http://10.0.0.5:9000", Display: true, Created: noon}
	f.must(f.store.CreateService(f.ctx, s))
	return s
}

func (f fixture) serviceClient(service, id string) hub.OAuthClient {
	f.Helper()
	c := hub.OAuthClient{ID: id, SecretHash: hashOf(id), RedirectURI: "/services/x/oauth_callback", Service: service, Description: "JupyterHub service " + service}
	f.must(f.store.PutClient(f.ctx, c))
	return c
}

// serviceTokens compares the tokens of a service.
func (f fixture) serviceTokens(service string, want ...hub.Token) {
	f.Helper()
	got, err := f.store.TokensOfService(f.ctx, service)
	f.must(err)
	f.same("the tokens of "+service, got, slices.Clip(want))
}

func (f fixture) serviceRuns(want ...hub.ServiceRun) {
	f.Helper()
	got, err := f.store.ServiceRuns(f.ctx)
	f.must(err)
	f.same("the runs of services", got, want)
}
