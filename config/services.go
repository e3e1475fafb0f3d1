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
	APIToken      Secret            `hcl:"api_token,optional" doc:"What it speaks to the API with, and the secret of its OAuth client: best env(\"...\") or file(\"...\"). Empty: what the secret services/NAME holds as api_token, or, if the hub runs it, a new one at each start."`
	Admin         bool              `hcl:"admin,optional" doc:"Whether it may do all that an administrator may. Better is a role that names it in services."`
	Command       []string          `hcl:"command,optional" doc:"What the hub runs and keeps running: with a nomad block as a Nomad job, else as its own child. Empty: what the image runs by itself, or, without an image, somebody else runs it."`
	Directory     string            `hcl:"cwd,optional" doc:"In which directory the command runs; empty: the hub's, or the job's."`
	User          string            `hcl:"user,optional" doc:"Account as which the command runs. Without a nomad block that needs a hub that runs as root. Empty: the hub's, or the jobspec's."`
	Serves        bool              `hcl:"serves,optional" doc:"Whether the Nomad job has pages: it listens where JUPYTERHUB_SERVICE_URL says, and the hub serves it at /services/NAME/. In place of url."`
	Image         string            `hcl:"image,optional" doc:"Image that the Nomad job runs."`
	Driver        string            `hcl:"driver,optional" doc:"Nomad's task driver; empty: docker with an image, else the jobspec's."`
	CPU           int               `hcl:"cpu,optional" doc:"MHz reserved for the Nomad job; 0: as its jobspec says."`
	Memory        int64             `hcl:"memory,optional" doc:"MiB reserved for the Nomad job; 0: as its jobspec says."`
	MemoryMax     int64             `hcl:"memory_max,optional" doc:"MiB at most, where the cluster allows more than is reserved; 0: as the jobspec says."`
	NodePool      string            `hcl:"node_pool,optional" doc:"Node pool whose machines may run the Nomad job; empty: as its jobspec says."`
	Network       string            `hcl:"network,optional" doc:"Network of the Nomad job: host, bridge, cni/NAME, or one of the container engine; empty: as its jobspec says."`
	Port          int               `hcl:"port,optional" doc:"Port at which the Nomad job listens inside of a network of its own; 0: the one that it is given."`
	Environment   map[string]string `hcl:"environment,optional" doc:"Added to the environment of what the hub runs."`
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
		if problem := s.misplaced(c.Nomad != nil); problem != "" {
			fail("%s", problem)
		}
	}
	return errors.Join(errs...)
}

// Runs tells whether the hub sees to it that the service runs.
func (s Service) Runs() bool { return len(s.Command) > 0 || s.Image != "" }

// misplaced says what of a service cannot be where the hub is: with a nomad block, or without one.
func (s Service) misplaced(cluster bool) string {
	jobs := s.Image != "" || s.Driver != "" || s.CPU != 0 || s.Memory != 0 || s.MemoryMax != 0 || s.NodePool != "" || s.Network != "" || s.Port != 0
	switch {
	case !cluster && (jobs || s.Serves):
		return "serves, image, driver, cpu, memory, memory_max, node_pool, network and port are for services that run as Nomad jobs, which needs a nomad block; without one, give it a command, and the url at which that listens"
	case !cluster:
		return ""
	case !s.Runs() && (jobs || s.Serves):
		return "it has neither command nor image, so there is nothing for Nomad to run; of a service that somebody else runs, name the address as url"
	case s.Runs() && s.URL != "":
		return "Nomad runs it and decides where it listens; write serves = true in place of url. To run it by a job of your own, name its address as url, without command and image"
	case s.Port != 0 && !s.Serves:
		return "it has a port, and nobody is served there without serves = true"
	case s.Port < 0 || s.Port > 65535 || s.CPU < 0 || s.Memory < 0 || s.MemoryMax < 0:
		return "port is 0 to 65535, and cpu, memory and memory_max are not below 0"
	}
	return ""
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
