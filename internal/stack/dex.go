package stack

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// DexOptions say whom the OpenID Connect provider knows.
type DexOptions struct {
	// ClientID and ClientSecret are the hub's; RedirectURIs are where the provider may send the browser back to.
	ClientID     string
	ClientSecret string
	RedirectURIs []string
	// Users can log in. Empty: [TrialUsers].
	Users []DexUser
}

// DexUser is somebody who can log in at the provider, with Name + "@example.org" and the password.
type DexUser struct {
	Name     string // the claims preferred_username and name
	Password string
	Groups   []string
}

// Email is what the user types at the provider's login page.
func (u DexUser) Email() string { return u.Name + "@example.org" }

// TrialUsers are the users of "make cluster". Everybody knows their passwords: they exist on the loopback address only.
func TrialUsers() []DexUser {
	return []DexUser{
		{Name: "ada", Password: "ada-tries-it", Groups: []string{"operators", "researchers"}},
		{Name: "ben", Password: "ben-tries-it", Groups: []string{"researchers"}},
		{Name: "eve", Password: "eve-tries-it", Groups: []string{"visitors"}},
	}
}

// Dex is a small OpenID Connect provider, for trying and testing logins. It keeps nothing: a restart forgets consents.
type Dex struct {
	*Process
	Issuer string
	Users  []DexUser
}

func (s *Stack) startDex(ctx context.Context, o Options, path string, port int) error {
	if o.Dex == nil {
		return nil
	}
	d := &Dex{Issuer: "http://" + hostPort(port) + "/dex", Users: o.Dex.Users}
	if len(d.Users) == 0 {
		d.Users = TrialUsers()
	}
	conf, err := o.Dex.config(d, hostPort(port))
	if err != nil {
		return err
	}
	file, err := writeJSON(o.Dir, "dex.json", conf) // dex reads YAML, of which JSON is a part
	if err != nil {
		return err
	}
	d.Process = o.process("dex", path, "serve", file)
	d.ready = d.answers
	s.Dex = d
	return d.Start(ctx)
}

func (o *DexOptions) config(d *Dex, address string) (map[string]any, error) {
	var users []map[string]any
	for _, u := range d.Users {
		hash, err := bcrypt.GenerateFromPassword([]byte(u.Password), bcrypt.DefaultCost)
		if err != nil {
			return nil, fmt.Errorf("password of %s: %w", u.Name, err)
		}
		users = append(users, map[string]any{
			"email": u.Email(), "username": u.Name, "name": u.Name, "preferredUsername": u.Name,
			"userID": "user-" + u.Name, "groups": u.Groups, "hash": string(hash),
		})
	}
	return map[string]any{
		"issuer":  d.Issuer,
		"storage": map[string]any{"type": "memory"},
		"web":     map[string]any{"http": address},
		"oauth2":  map[string]any{"skipApprovalScreen": true},
		"staticClients": []map[string]any{{
			"id": o.ClientID, "secret": o.ClientSecret, "name": "NomadHub", "redirectURIs": o.RedirectURIs,
		}},
		"enablePasswordDB": true,
		"staticPasswords":  users,
	}, nil
}

// answers is nil when the provider serves its discovery document.
func (d *Dex) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.Issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("discovery answers %s", res.Status)
	}
	return nil
}
