package hub

import (
	"context"
	"errors"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// NewService is a service to make while the hub runs.
type NewService struct {
	Service
	Token string // what it shall speak with; "": nothing yet
}

// CreateService makes a service at the wish of the principal, who cannot give it more than they have. Conflict if the name is taken.
func (h *Hub) CreateService(ctx context.Context, p Principal, n NewService) (Service, error) {
	s := n.Service
	s.Origin, s.Created = FromAPI, h.now()
	if err := CheckService(s, n.Token); err != nil {
		return Service{}, err
	}
	if len(s.Command) > 0 {
		return Service{}, Errorf(Invalid, "Services that the hub runs are defined in its configuration only. Leave out command, and run the service elsewhere.")
	}
	if err := h.checkServiceScopes(ctx, p, s); err != nil {
		return Service{}, err
	}
	err := h.store.InTx(ctx, func(tx Store) error {
		if err := tx.CreateService(ctx, s); err != nil {
			if errors.Is(err, ErrExists) {
				return Errorf(Conflict, "The service %s exists already.", s.Name)
			}
			return err
		}
		if err := h.checkServiceAddress(ctx, tx, s); err != nil {
			return err
		}
		if err := putServiceClient(ctx, tx, h.urls, s); err != nil || n.Token == "" {
			return err
		}
		return h.writeServiceToken(ctx, tx, s.Name, n.Token, "Given when the service was made")
	})
	if err != nil {
		return Service{}, err
	}
	h.services.tell()
	return s, nil
}

// checkServiceScopes refuses to give a service, or its OAuth client, what its maker does not have.
func (h *Hub) checkServiceScopes(ctx context.Context, p Principal, s Service) error {
	roles := h.Roles()
	if err := roles.Validate(s.AllowedScopes); err != nil {
		return &Error{Kind: Invalid, Message: "Some of oauth_client_allowed_scopes are not known: " + err.Error() + ".", Err: err}
	}
	maker := scope.Owner{User: p.User.Name, ClientService: s.Name}
	if p.Service != nil {
		maker.Service = p.Service.Name
	}
	wanted := roles.Expand(s.AllowedScopes, maker)
	if s.Admin {
		wanted = scope.Union(wanted, scope.AdminScopes())
	}
	of, failed := memberships(ctx, h.store, p.User)
	excess := scope.Excess(wanted, p.Scopes, of)
	if err := failed(); err != nil {
		return err
	}
	if len(excess) > 0 {
		return Errorf(Invalid, "You do not have the scopes %v, so no service that you make can have them.", excess)
	}
	return nil
}

// checkServiceAddress refuses an address at which another service is: the proxy could not tell their connections apart.
func (h *Hub) checkServiceAddress(ctx context.Context, tx Store, s Service) error {
	if s.URL == "" {
		return nil
	}
	mine, err := serviceAddress(s.URL)
	if err != nil {
		return err
	}
	all, err := tx.Services(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Name == s.Name || other.URL == "" {
			continue
		}
		if theirs, err := serviceAddress(other.URL); err == nil && theirs == mine {
			return Errorf(Invalid, "The service %s is at %s already. Each service has an address of its own.", other.Name, mine)
		}
	}
	return nil
}

// DeleteService removes a service that was made while the hub runs, with its tokens and all that was granted to it.
func (h *Hub) DeleteService(ctx context.Context, name string) error {
	err := h.store.InTx(ctx, func(tx Store) error {
		s, err := tx.Service(ctx, name)
		if errors.Is(err, ErrNotFound) {
			return Errorf(NotFound, "There is no service %s.", name)
		}
		if err != nil {
			return err
		}
		if s.Origin == FromConfig {
			return ErrServiceConfigured
		}
		return tx.DeleteService(ctx, name)
	})
	if err == nil {
		h.services.tell()
	}
	return err
}

// ErrServiceConfigured means that only the configuration can change the service.
var ErrServiceConfigured = Errorf(Conflict, "This service is defined in the hub's configuration. Remove it there, and the hub removes it without a restart.")
