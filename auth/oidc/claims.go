package oidc

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/auth"
)

// claims are what a provider says of a person.
type claims map[string]json.RawMessage

// merge returns the claims with newer ones in their place.
func (c claims) merge(newer map[string]json.RawMessage) claims {
	all := maps.Clone(c)
	if _, ok := newer["email"]; ok {
		delete(all, "email_verified") // it was said of the other address
	}
	maps.Copy(all, newer)
	return all
}

// identity reads who the person is.
func (a *Authenticator) identity(subject string, c claims) (auth.Identity, error) {
	name, err := c.name(a.cfg.UsernameClaim)
	if err != nil {
		return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrDenied, err)
	}
	id := auth.Identity{Provider: a.id, Subject: subject, Name: name}
	if a.cfg.GroupsClaim != "" {
		if id.Groups, err = c.list(a.cfg.GroupsClaim); err != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrDenied, err)
		}
	}
	if a.cfg.RolesClaim != "" {
		if id.Roles, err = c.list(a.cfg.RolesClaim); err != nil {
			return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrDenied, err)
		}
	}
	a.decideAdmin(&id)
	return id, nil
}

// decideAdmin says whether the person is an administrator, if that is left to the provider.
func (a *Authenticator) decideAdmin(id *auth.Identity) {
	if len(a.cfg.AdminGroups) == 0 && !a.cfg.AdminRole {
		return
	}
	id.Admin = new(slices.ContainsFunc(id.Groups, func(g string) bool { return slices.Contains(a.cfg.AdminGroups, g) }))
	if a.cfg.AdminRole {
		if slices.Contains(id.Roles, adminRole) {
			id.Admin = new(true)
		}
		id.Roles = slices.DeleteFunc(id.Roles, func(r string) bool { return r == adminRole })
	}
}

const adminRole = "admin" // the hub's

// name reads the user name. There is no second choice: if a missing name could be replaced by, say, an address, then whoever can
// leave theirs out could take the name of somebody else.
func (c claims) name(claim string) (string, error) {
	var name string
	if raw, ok := c[claim]; !ok || json.Unmarshal(raw, &name) != nil || strings.TrimSpace(name) == "" {
		return "", fmt.Errorf("the provider sent no text in the claim %q, which is to be the user name", claim)
	}
	if claim != "email" {
		return name, nil
	}
	// Anything but the JSON value true is no: some providers send the text "false".
	if string(c["email_verified"]) != "true" {
		return "", fmt.Errorf("the provider has not verified the address that is to be the user name")
	}
	if local, domain, ok := strings.Cut(name, "@"); !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return "", fmt.Errorf("the claim %q is not an address", claim)
	}
	return name, nil
}

// list reads groups or roles, sorted. No claim is an empty list, since providers leave empty lists out; a claim of another form is an error.
func (c claims) list(path string) ([]string, error) {
	raw, ok := c.find(path)
	if !ok || string(raw) == "null" {
		return []string{}, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil { // some providers write a list of one like that
		return clean([]string{one}), nil
	}
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		return nil, fmt.Errorf("the claim %q is not a list of texts", path)
	}
	return clean(list), nil
}

func clean(list []string) []string {
	list = slices.DeleteFunc(list, func(g string) bool { return g == "" })
	slices.Sort(list)
	return slices.Compact(list)
}

// find follows a path with dots. A claim whose own name has dots, such as a URL, is found first.
func (c claims) find(path string) (json.RawMessage, bool) {
	if raw, ok := c[path]; ok {
		return raw, true
	}
	for i, r := range path {
		if r != '.' {
			continue
		}
		var inner claims
		if raw, ok := c[path[:i]]; ok && json.Unmarshal(raw, &inner) == nil {
			if found, ok := inner.find(path[i+1:]); ok {
				return found, true
			}
		}
	}
	return nil, false
}
