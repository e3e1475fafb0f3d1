package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nomadhub/nomadhub/auth/scope"
)

// Grant is what a visitor would grant to a client.
type Grant struct {
	Scopes []string // raw
	// Confirm is set when the visitor has to be asked first.
	Confirm bool
	// Owner is the user whose server it is, "" for a service.
	Owner string
	// Service is the name of the service, "" for a server.
	Service string
}

// clientTarget is what stands behind an OAuth client.
type clientTarget struct {
	owner  scope.Owner // what tokens of the client are about; its User is the visitor
	access string      // the scope that lets a visitor in
	object scope.Object
	// trusted clients ask their visitors nothing.
	trusted bool
	grant   Grant // who it is
	refusal string
}

// targetOf finds out what stands behind the client, for a visitor.
func (h *Hub) targetOf(ctx context.Context, c OAuthClient, visitor User) (clientTarget, error) {
	if c.Service != "" {
		s, err := h.Service(ctx, c.Service)
		if err != nil {
			return clientTarget{}, fmt.Errorf("service of client %s: %w", c.ID, err)
		}
		return clientTarget{
			owner: scope.Owner{User: visitor.Name, ClientService: s.Name}, access: "access:services", object: scope.Service(s.Name), trusted: s.NoConfirm,
			grant: Grant{Service: s.Name}, refusal: "You may not use the service " + s.Name + ". Ask an administrator for access to it.",
		}, nil
	}
	if c.ServerID == "" {
		return clientTarget{}, errors.New("the OAuth client " + c.ID + " belongs to no server and no service")
	}
	s, err := h.store.ServerByID(ctx, c.ServerID)
	if err != nil {
		return clientTarget{}, fmt.Errorf("server of client %s: %w", c.ID, err)
	}
	owner := serverOwner(s)
	owner.User = visitor.Name
	object := scope.Server(s.UserName, s.Name)
	if s.UserID != visitor.ID { // a role may give access to the servers of a group's members
		u, err := h.store.UserByID(ctx, s.UserID)
		if err != nil {
			return clientTarget{}, fmt.Errorf("owner of the server of client %s: %w", c.ID, err)
		}
		object = scope.Server(u.Name, s.Name, u.Groups...)
	}
	return clientTarget{
		owner: owner, access: "access:servers", object: object, trusted: s.UserID == visitor.ID, grant: Grant{Owner: s.UserName},
		refusal: "You may not use this server of " + s.UserName + ". Ask " + s.UserName + " to share it with you.",
	}, nil
}

// Grant decides what the client may have of the visitor. An *OAuthError goes back to the client, a Forbidden [Error] is shown to the visitor.
func (h *Hub) Grant(ctx context.Context, p Principal, c OAuthClient, r AuthorizeRequest) (Grant, error) {
	if r.ResponseType != "code" {
		return Grant{}, &OAuthError{"unsupported_response_type", "Only the authorization code flow is offered."}
	}
	if err := checkChallenge(r); err != nil {
		return Grant{}, err
	}
	to, err := h.targetOf(ctx, c, p.User)
	if err != nil {
		return Grant{}, err
	}
	of, failed := memberships(ctx, h.store, p.User)
	asked, err := h.askedScopes(c, r, to, of)
	if err := errors.Join(failed(), err); err != nil {
		return Grant{}, err
	}
	if !p.Can(to.access, to.object) {
		return Grant{}, &Error{Kind: Forbidden, Message: to.refusal}
	}
	more, _ := h.Roles().Narrow(asked, p.Scopes, to.owner, of) // what the visitor does not have is not granted, and no reason to refuse
	if err := failed(); err != nil {
		return Grant{}, err
	}
	g := to.grant
	g.Scopes = distinct(append(requiredScopes(to.owner), more...))
	if !to.trusted {
		if g.Confirm, err = h.needsConfirm(ctx, p.User.ID, c.ID, g.Scopes); err != nil {
			return Grant{}, err
		}
	}
	return g, nil
}

// requiredScopes are part of every grant: to know the visitor, and to let them in.
func requiredScopes(o scope.Owner) []string {
	return append(scope.Identify(scope.Owner{User: o.User}), scope.Access(o)...)
}

// askedScopes are the scopes that a client asks for, by default all that it is allowed. It may name roles, which stand for their scopes. All must be within what it
// is allowed.
func (h *Hub) askedScopes(c OAuthClient, r AuthorizeRequest, to clientTarget, of scope.GroupsOf) ([]string, error) {
	if len(r.Scopes) == 0 {
		return c.AllowedScopes, nil
	}
	required, roles := requiredScopes(to.owner), h.Roles()
	allowed := roles.Expand(append(required, c.AllowedScopes...), to.owner)
	var asked []string
	for _, word := range r.Scopes {
		if word == "identify" {
			continue // says what is granted anyway
		}
		wanted := []string{word}
		if role, ok := roles.Role(word); ok && roles.Validate(wanted) != nil {
			wanted = role.Scopes
		}
		invalid := &OAuthError{"invalid_scope", "The client may not ask for the scope " + word + "."}
		if roles.Validate(wanted) != nil || slices.Contains(wanted, scope.Inherit) && !slices.Contains(c.AllowedScopes, scope.Inherit) {
			return nil, invalid
		}
		if len(scope.Excess(roles.Expand(wanted, to.owner), allowed, of)) > 0 {
			return nil, invalid
		}
		asked = append(asked, wanted...)
	}
	return asked, nil
}

// needsConfirm tells whether the user has not yet granted all of this to the client.
func (h *Hub) needsConfirm(ctx context.Context, userID, clientID string, granted []string) (bool, error) {
	tokens, err := h.store.Tokens(ctx, userID)
	if err != nil {
		return false, err
	}
	given := map[string]bool{}
	for _, t := range tokens {
		if t.ClientID == clientID && !h.expired(t) {
			for _, s := range t.Scopes {
				given[s] = true
			}
		}
	}
	return slices.ContainsFunc(granted, func(s string) bool { return !given[s] }), nil
}
