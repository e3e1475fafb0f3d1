package config

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"

	"github.com/hashicorp/hcl/v2"
)

// Secret is a text that only who uses it sees.
type Secret string

// String hides it.
func (Secret) String() string { return redacted }

// Service is a program beside the hub that speaks its API under a name of its own.
type Service struct {
	Name          string            `hcl:"name,label"`
	At            hcl.Range         `hcl:",def_range"`
	URL           string            `hcl:"url,optional" doc:"Where it listens, as http://host:port. The hub serves it at /services/NAME/, and passes the whole path on. Empty: it serves nothing through the hub."`
	APIToken      Secret            `hcl:"api_token,optional" doc:"What it speaks to the API with, and the secret of its OAuth client: best env(\"...\") or file(\"...\"). Empty: what the secret services/NAME holds as api_token, or, with a command, a new one at each start."`
	Admin         bool              `hcl:"admin,optional" doc:"Whether it may do all that an administrator may. Better is a role that names it in services."`
	Command       []string          `hcl:"command,optional" doc:"What the hub runs and keeps running, on one of its replicas. Empty: somebody else runs it."`
	Directory     string            `hcl:"cwd,optional" doc:"In which directory the command runs; empty: the hub's."`
	User          string            `hcl:"user,optional" doc:"Local account as which the command runs, which needs a hub that runs as root; empty: the hub's."`
	Environment   map[string]string `hcl:"environment,optional" doc:"Added to the command's environment."`
	ClientID      string            `hcl:"oauth_client_id,optional" doc:"ID of its OAuth client, which begins with service-; empty: service-NAME."`
	RedirectURI   string            `hcl:"oauth_redirect_uri,optional" doc:"Where visitors come back to after a login; empty: oauth_callback below its path."`
	AllowedScopes []string          `hcl:"oauth_client_allowed_scopes,optional" doc:"What it may ask its visitors for, beside who they are and that they may use it."`
	NoConfirm     bool              `hcl:"oauth_no_confirm,optional" doc:"Whether visitors are not asked whether it may know them."`
	Display       *bool             `hcl:"display,optional" doc:"Whether people who may use it find it on their home page; default: true."`
	Info          map[string]string `hcl:"info,optional" doc:"Shown by the API with the service; means nothing to the hub."`
}

// Displayed tells whether pages show the service.
func (s Service) Displayed() bool { return s.Display == nil || *s.Display }

// takeServices and mergeServices do with services what takeRoles and mergeRoles do with roles.
func (c *Config) takeServices() []Service {
	before := c.Services
	c.Services = nil
	return before
}

func (c *Config) mergeServices(file string, before []Service) (err error) {
	c.Services, err = merge(file, "service", before, c.Services, func(s Service) string { return s.Name })
	return err
}

// validateServices finds services that get in each other's way. What each may be by itself is not known here.
func (c *Config) validateServices() error {
	var errs []error
	addresses, clients := map[string]string{}, map[string]string{}
	for _, s := range c.Services {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("%s: service %q: %s", Where(s.At), s.Name, fmt.Sprintf(format, args...)))
		}
		u, err := url.Parse(s.URL)
		if err != nil {
			fail("its url cannot be read: %v", err)
			continue
		}
		if other, taken := addresses[u.Host]; taken && u.Host != "" {
			fail("the service %q listens at %s already; give each its own address", other, u.Host)
		}
		id := s.ClientID
		if id == "" {
			id = "service-" + s.Name
		}
		if other, taken := clients[id]; taken {
			fail("the service %q has the OAuth client ID %s already", other, id)
		}
		addresses[u.Host], clients[id] = s.Name, s.Name
		if c.Nomad != nil && len(s.Command) > 0 && s.URL != "" && Loopback(u.Host) {
			fail("a hub of several replicas runs the command on one of them, and the others cannot reach %s; run the service as a Nomad job of its own, and name its address as url, without command", u.Host)
		}
	}
	return errors.Join(errs...)
}

// serviceDifferences names services that differ, wherever they stand.
func serviceDifferences(a, b []Service, found map[string]bool) {
	before, after := byName(a), byName(b)
	names := maps.Clone(before)
	maps.Copy(names, after)
	for name := range names {
		if !reflect.DeepEqual(before[name], after[name]) {
			found["service."+name] = true
		}
	}
}

func byName(all []Service) map[string]*Service {
	m := map[string]*Service{}
	for _, s := range all {
		s.At = hcl.Range{}
		m[s.Name] = &s
	}
	return m
}
