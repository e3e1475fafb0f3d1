package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// ConfiguredService is a service that the configuration defines.
type ConfiguredService struct {
	Service
	// Token is what it speaks to the API with. "": nothing, or, if the hub runs its command, a new one at each start.
	Token string
	// Job is what the cluster runs; nil: the hub runs the command itself, or somebody else runs the service.
	Job *ServiceJob
}

// managed tells whether the hub sees to it that it runs, and gives it its token.
func (s ConfiguredService) managed() bool { return len(s.Command) > 0 || s.Job != nil }

// pages tells whether people can visit it below the hub's address.
func (s Service) pages() bool { return s.URL != "" || s.Serves }

// services is what a replica knows of services beside their rows.
type services struct {
	changing   sync.Mutex // one change of the configured ones at a time
	configured atomic.Pointer[map[string]ConfiguredService]
	mu         sync.Mutex
	changed    chan struct{}           // closed and replaced when services may have changed
	states     map[string]ServiceState // of those that are looked at, by name
	restarts   prometheus.Counter
	known      atomic.Pointer[[]Service] // as they were last read
}

func (s *services) init(r prometheus.Registerer) {
	s.configured.Store(&map[string]ConfiguredService{})
	s.changed, s.states = make(chan struct{}), map[string]ServiceState{}
	s.restarts = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "nomadhub_service_restarts_total", Help: "How often the command of a service ended by itself, or its job was gone or dead, and was started again.",
	})
	if r == nil {
		return
	}
	r.MustRegister(s.restarts, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "nomadhub_services_down", Help: "Services with an address that did not answer when they were last asked.",
	}, func() float64 { return float64(s.down()) }))
}

// tell wakes who works by the list of services.
func (s *services) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *services) news() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// SetServices puts other services of the configuration in force: their rows, tokens and OAuth clients. Those that it does not hold any more go with all that they have.
// Services that were made through the API stay, unless the configuration takes their name.
func (h *Hub) SetServices(ctx context.Context, all []ConfiguredService) error {
	h.services.changing.Lock()
	defer h.services.changing.Unlock()
	next := map[string]ConfiguredService{}
	for _, s := range all {
		s.Origin, s.Scheduled = FromConfig, s.Job != nil
		if err := errors.Join(checkService(s.Service), checkServiceToken(s.Token)); err != nil {
			return fmt.Errorf("service %q: %w", s.Name, err)
		}
		if err := h.Roles().Validate(s.AllowedScopes); err != nil {
			return fmt.Errorf("service %q: oauth_client_allowed_scopes: %w", s.Name, err)
		}
		next[s.Name] = s
	}
	if err := h.writeServices(ctx, next, true); err != nil {
		return err
	}
	if !reflect.DeepEqual(next, *h.services.configured.Swap(&next)) {
		h.services.tell()
	}
	return nil
}

// writeServices makes the rows be as configured. Unless alone is set, what another replica's configuration holds stays.
func (h *Hub) writeServices(ctx context.Context, configured map[string]ConfiguredService, alone bool) error {
	names := slices.Sorted(maps.Keys(configured))
	err := h.store.InTx(ctx, func(tx Store) error {
		rows, err := tx.Services(ctx)
		if err != nil {
			return err
		}
		known := map[string]Service{}
		for _, row := range rows {
			known[row.Name] = row
			if _, kept := configured[row.Name]; alone && row.Origin == FromConfig && !kept {
				if err := tx.DeleteService(ctx, row.Name); err != nil {
					return err
				}
			}
		}
		for _, name := range names { // before any is written: one may have the client ID that another had
			s := configured[name]
			if err := tx.DeleteClientsOfService(ctx, name, s.clientID()); err != nil {
				return err
			}
		}
		for _, name := range names {
			if err := h.writeService(ctx, tx, configured[name], known[name]); err != nil {
				return fmt.Errorf("service %q: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the services of the configuration: %w", err)
	}
	return nil
}

// writeService writes one service of the configuration. The environment may hold secrets and stays in the configuration.
func (h *Hub) writeService(ctx context.Context, tx Store, s ConfiguredService, before Service) error {
	row := s.Service
	row.Environment, row.Created = nil, h.now()
	if before.Origin == FromAPI { // nobody who made a service of this name may speak for this one
		if err := tx.DeleteService(ctx, s.Name); err != nil {
			return err
		}
	}
	if err := tx.PutService(ctx, row); err != nil {
		return err
	}
	if err := putServiceClient(ctx, tx, h.urls, s.Service); err != nil {
		return err
	}
	switch {
	case s.Token != "":
		return h.writeServiceToken(ctx, tx, s.Name, s.Token, "From the configuration")
	case !s.managed():
		return tx.DeleteTokensOfService(ctx, s.Name)
	}
	return nil // who runs it gives it one
}

// writeServiceToken makes this the only token of the service, beside those with these hashes.
func (h *Hub) writeServiceToken(ctx context.Context, tx Store, name, secret, note string, beside ...[]byte) error {
	hash := hashSecret(secret)
	if err := tx.DeleteTokensOfService(ctx, name, append([][]byte{hash}, beside...)...); err != nil {
		return err
	}
	t, err := tx.TokenByHash(ctx, hash)
	switch {
	case err == nil && t.Service == name:
		return nil
	case err == nil:
		return Errorf(Conflict, "The token of the service %s is somebody else's already. Give each service a token of its own.", name)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	_, err = tx.CreateToken(ctx, Token{Service: name, Hash: hash, Scopes: []string{scope.Inherit}, Note: note, Created: h.now()})
	return err
}

// putServiceClient writes the OAuth client of a service, if it is one. Its secret is any token that the service owns.
func putServiceClient(ctx context.Context, tx Store, u URLs, s Service) error {
	id := s.clientID()
	if id == "" {
		return nil
	}
	c, err := tx.Client(ctx, id)
	if err == nil && c.Service != s.Name {
		return Errorf(Conflict, "The OAuth client ID %s of the service %s belongs to somebody else. Choose another oauth_client_id.", id, s.Name)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return tx.PutClient(ctx, OAuthClient{
		ID: id, Service: s.Name, RedirectURI: s.redirectURI(u), Description: "JupyterHub service " + s.Name, AllowedScopes: append([]string{}, s.AllowedScopes...),
	})
}

// clientID is the ID of the service's OAuth client, "" if it is none: it has an address or is said to be one.
func (s Service) clientID() string {
	switch {
	case s.ClientID != "":
		return s.ClientID
	case s.pages() || s.RedirectURI != "":
		return serviceClientPrefix + s.Name
	}
	return ""
}

func (s Service) redirectURI(u URLs) string {
	if s.RedirectURI != "" {
		return s.RedirectURI
	}
	return u.ServiceURL(s.Name) + "oauth_callback"
}

const serviceClientPrefix = "service-"

// Service is the path of a service, with a trailing slash.
func (u URLs) Service(name string) string { return u.base + "services/" + name + "/" }

// serviceName is what needs no escape in a path, in a client ID or in a log.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,99}$`)

// Service returns a service, or a NotFound [Error].
func (h *Hub) Service(ctx context.Context, name string) (Service, error) {
	if s, ok := (*h.services.configured.Load())[name]; ok {
		return h.services.placed(s.Service), nil
	}
	s, err := h.store.Service(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return Service{}, Errorf(NotFound, "There is no service %s.", name)
	}
	return h.services.placed(s), err
}

// Services returns all services, by name.
func (h *Hub) Services(ctx context.Context) ([]Service, error) {
	rows, err := h.store.Services(ctx)
	if err != nil {
		return nil, err
	}
	configured := *h.services.configured.Load()
	for i, row := range rows {
		if s, ok := configured[row.Name]; ok && row.Origin == FromConfig {
			rows[i] = s.Service
			rows[i].Created = row.Created
		}
	}
	return h.placeServices(ctx, rows)
}

// ServicesFor returns the services with pages that the principal may use and that are meant to be shown, by name. It is at most some seconds old.
func (h *Hub) ServicesFor(p Principal) (shown []Service) {
	all := h.services.known.Load()
	if all == nil {
		return nil
	}
	for _, s := range *all {
		if s.pages() && s.Display && p.Can("access:services", scope.Service(s.Name)) {
			shown = append(shown, s)
		}
	}
	return shown
}

// isSecretOf tells whether a token may authenticate the OAuth client as its secret: any that its server was started with, or that its service owns.
func (t Token) isSecretOf(c OAuthClient) bool {
	if c.Service != "" {
		return t.Service == c.Service && t.ClientID == ""
	}
	return t.ServerID != "" && t.ServerID == c.ServerID
}
