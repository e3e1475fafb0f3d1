package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

const (
	clientID         = "nomadhub"
	clientSecretName = "oidc-corp" // in Vault, below the hub's prefix
)

// ports are the loopback ports of everything that a person may want to open.
type ports struct {
	public, servers, metrics             int
	nomad, consul, vault, postgres, oidc int
}

func wellKnown() ports {
	return ports{
		public: 8000, servers: 8081, metrics: 8082,
		nomad: 4646, consul: 8500, vault: 8200, postgres: 5432, oidc: 5556,
	}
}

// choosePorts replaces the ports that are taken by free ones, and says so.
func choosePorts(p ports, free func(int) bool, out io.Writer) ports {
	for _, x := range []struct {
		name string
		port *int
	}{
		{"the hub", &p.public},
		{"the hub's API for servers", &p.servers},
		{"the hub's metrics", &p.metrics},
		{"Nomad", &p.nomad},
		{"Consul", &p.consul},
		{"Vault", &p.vault},
		{"Postgres", &p.postgres},
		{"the login provider", &p.oidc},
	} {
		if free(*x.port) {
			continue
		}
		chosen, err := stack.FreePorts(1)
		if err != nil {
			continue // whoever starts there will say what is wrong
		}
		fmt.Fprintf(out, "cluster: port %d is taken; %s gets %d\n", *x.port, x.name, chosen[0])
		*x.port = chosen[0]
	}
	return p
}

func (c *cluster) publicURL() string { return "http://127.0.0.1:" + strconv.Itoa(c.ports.public) }

func (c *cluster) stackOptions(dir string, logger *slog.Logger) stack.Options {
	c.secret = rand.Text()
	return stack.Options{
		Dir: dir, Logger: logger, Postgres: true,
		Ports: stack.Ports{Nomad: c.ports.nomad, Consul: c.ports.consul, Vault: c.ports.vault, Postgres: c.ports.postgres, Dex: c.ports.oidc},
		Dex:   &stack.DexOptions{ClientID: clientID, ClientSecret: c.secret, RedirectURIs: []string{c.publicURL() + "/hub/oauth_callback/corp"}},
	}
}

func (c *cluster) hubOptions(binary string) (hubjob.Options, error) {
	hub, notebooks, err := accounts()
	if err != nil {
		return hubjob.Options{}, err
	}
	home, err := c.makeHome(notebooks)
	if err != nil {
		return hubjob.Options{}, err
	}
	return hubjob.Options{
		NomadCreds: hubjob.NomadCreds,
		Binary:     binary, User: hub.Username, PublicURL: c.publicURL(),
		PublicPort: c.ports.public, ServersPort: c.ports.servers, MetricsPort: c.ports.metrics,
		Config: c.hubConfig(),
		NotebookVariables: map[string]string{
			"path":      c.python.Bin() + ":/usr/local/bin:/usr/bin:/bin",
			"user":      notebooks.Username,
			"home_base": home,
		},
	}, nil
}

// accounts returns who the hub and the notebooks run as: for root two different accounts that every Debian has, so that a
// notebook cannot read the hub's memory. Without root everything runs as ourselves.
func accounts() (hub, notebooks *user.User, err error) {
	if os.Geteuid() != 0 {
		me, err := user.Current()
		return me, me, err
	}
	hub, err = user.Lookup("daemon")
	if err != nil {
		return nil, nil, fmt.Errorf("an account for the hub: %w", err)
	}
	notebooks, err = user.Lookup("nobody")
	if err != nil {
		return nil, nil, fmt.Errorf("an account for notebooks: %w", err)
	}
	return hub, notebooks, nil
}

// makeHome makes the folder below which servers get their homes.
func (c *cluster) makeHome(owner *user.User) (string, error) {
	home := filepath.Join(c.stack.Dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", err
	}
	if os.Geteuid() != 0 {
		return home, nil
	}
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(owner.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	return home, os.Chown(home, uid, gid)
}

// hubConfig is who may enter, and how: the rest of the configuration is in the jobspec.
func (c *cluster) hubConfig() string {
	return fmt.Sprintf(`
login {
  allowed_groups = ["researchers"]
  admin_users    = ["ada"]
}

authenticator "oidc" "corp" {
  label        = "Example organisation"
  issuer       = %q
  client_id    = %q
  secret       = %q
  scopes       = ["openid", "profile", "email", "groups"]
  groups_claim = "groups"
}
`, c.stack.Dex.Issuer, clientID, clientSecretName)
}
