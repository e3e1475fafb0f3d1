package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/jobspecs"
	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/local"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// openScheduler opens what runs users' servers, and returns how to let go of it. The named jobspecs are those that profiles begin with.
func openScheduler(cfg config.Config, named map[string]string, environ []string, log *slog.Logger) (scheduler.Scheduler, func() error, error) {
	if cfg.Nomad == nil {
		s, err := openLocal(*cfg.Local, environ, log)
		if err != nil {
			return nil, nil, err
		}
		return s, s.Close, nil
	}
	s, err := openNomad(*cfg.Nomad, named, log)
	return s, func() error { return nil }, err
}

// inherited are the variables of the hub's own environment that servers on this machine get as well. Nothing else reaches them.
var inherited = []string{"PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "JUPYTERHUB_SINGLEUSER_APP", "JUPYTERHUB_SINGLEUSER_EXTENSION"}

func openLocal(c config.Local, environ []string, log *slog.Logger) (*local.Scheduler, error) {
	env := map[string]string{}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		for _, keep := range inherited {
			if name == keep {
				env[name] = value
			}
		}
	}
	command := c.Command
	if len(command) > 0 && strings.Contains(command[0], "/") { // what belongs to the command is beside it: the kernels' Python first of all
		env["PATH"] = filepath.Dir(command[0]) + string(os.PathListSeparator) + env["PATH"]
	}
	o := local.Options{Dir: c.Directory, Command: command, Env: env, Logger: log}
	if !c.Accounts {
		o.Home = func(s scheduler.Spec) (string, error) { return filepath.Join(c.Home, cmp.Or(s.Home, s.ID)), nil }
	}
	return local.New(o)
}

// openNomad opens a scheduler for each namespace and region that servers may run in.
func openNomad(c config.Nomad, named map[string]string, log *slog.Logger) (scheduler.Scheduler, error) {
	conf, err := nomadConfig(c, log)
	if err != nil {
		return nil, err
	}
	jobspec, err := readJobspec(c.Jobspec, "notebook.nomad.hcl")
	if err != nil {
		return nil, err
	}
	fleet := &nomadFleet{}
	var places []mux.Place
	for _, p := range c.Places() {
		own := *conf // all share one HTTP client, and so its bounds and its token
		own.Region, own.Namespace = cmp.Or(p.Region, conf.Region), p.Namespace
		client, err := api.NewClient(&own)
		if err != nil {
			return nil, err
		}
		s, err := nomad.New(nomad.Options{
			Client: client, Namespace: p.Namespace, Region: p.Region, Jobspec: jobspec, Jobspecs: named, Variables: c.Variables,
			JobPrefix: c.JobPrefix, MHzPerCore: c.MHzPerCore, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		fleet.all = append(fleet.all, s)
		places = append(places, mux.Place{Region: p.Region, Namespace: p.Namespace, Scheduler: s})
	}
	if len(fleet.all) == 1 {
		return fleet.all[0], nil
	}
	fleet.Scheduler, err = mux.New(mux.Options{Places: places, VolumeID: fleet.all[0].VolumeID, Logger: log})
	return fleet, err
}

// serviceJobs follows the prefix of servers' jobs in the names of services' jobs. With its underscore none of these is ever taken for a server's, and what a policy says
// of the one prefix holds for both.
const serviceJobs = "service_"

// openServiceScheduler opens what runs services as jobs, in the hub's own namespace and region. It returns beside it what tells one template from another.
func openServiceScheduler(c config.Nomad, log *slog.Logger) (scheduler.Scheduler, string, error) {
	client, err := nomadClient(c, log)
	if err != nil {
		return nil, "", err
	}
	jobspec, err := readJobspec(c.ServiceJobspec, "service.nomad.hcl")
	if err != nil {
		return nil, "", err
	}
	s, err := nomad.New(nomad.Options{
		Client: client, Namespace: c.Namespace, Region: c.Region, Jobspec: jobspec, Variables: c.ServiceVariables,
		JobPrefix: c.JobPrefix + serviceJobs, MHzPerCore: c.MHzPerCore, Logger: log,
	})
	if err != nil {
		return nil, "", fmt.Errorf("the jobs of services: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", jobspec)
	for _, name := range slices.Sorted(maps.Keys(c.ServiceVariables)) {
		fmt.Fprintf(sum, "%q%q", name, c.ServiceVariables[name])
	}
	return s, hex.EncodeToString(sum.Sum(nil)), nil
}

// nomadFleet are the schedulers of several namespaces and regions as one.
type nomadFleet struct {
	*mux.Scheduler

	all []*nomad.Scheduler
}

// SetJobspecs implements jobspecTaker. All have the same jobspecs, so that what one refuses all do.
func (f *nomadFleet) SetJobspecs(named map[string]string) error {
	for _, s := range f.all {
		if err := s.SetJobspecs(named); err != nil {
			return err
		}
	}
	return nil
}

// readJobspec reads a file, or the jobspec of that name that comes with the hub.
func readJobspec(name, own string) (string, error) {
	if name == "" {
		b, err := jobspecs.FS.ReadFile(own)
		return string(b), err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("the jobspec cannot be read: %w", err)
	}
	return string(b), nil
}

const nomadHeaderTimeout = 6 * time.Minute // above the longest blocking query

// nomadClient reaches Nomad over TCP or its task API's socket, with a token that may be replaced while the hub runs.
func nomadClient(c config.Nomad, log *slog.Logger) (*api.Client, error) {
	conf, err := nomadConfig(c, log)
	if err != nil {
		return nil, err
	}
	return api.NewClient(conf)
}

// nomadConfig says how Nomad is reached, by one HTTP client for all that is asked of it, at one address or several.
func nomadConfig(c config.Nomad, log *slog.Logger) (*api.Config, error) {
	conf := api.DefaultConfig()
	conf.Address = cmp.Or(c.Address, conf.Address)
	conf.Region, conf.Namespace = cmp.Or(c.Region, conf.Region), c.Namespace
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: nomadRequests, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: nomadHeaderTimeout,
		TLSHandshakeTimeout: 10 * time.Second, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, // ConfigureTLS fills it in
		DisableCompression: true, // see bounded
	}
	client := &http.Client{Transport: transport}
	if socket, ok := strings.CutPrefix(conf.Address, "unix://"); ok && len(c.Addresses) == 0 {
		conf.Address = "http://127.0.0.1"
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	} else if err := api.ConfigureTLS(client, conf.TLSConfig); err != nil {
		return nil, fmt.Errorf("TLS to Nomad: %w", err)
	}
	var reach http.RoundTripper = transport
	if len(c.Addresses) > 0 {
		several, err := nomad.NewFailover(transport, append([]string{conf.Address}, c.Addresses...), conf.Region, log)
		if err != nil {
			return nil, err
		}
		conf.Address, reach = several.Addresses()[0], several
	}
	client.Transport = newBounded(reach, nomadRequests)
	if c.TokenFile != "" {
		conf.SecretID = ""
		client.Transport = &tokenFile{next: client.Transport, path: c.TokenFile}
	}
	conf.HttpClient = client
	return conf, nil
}

// tokenFile puts the token of a file into each request. Nomad replaces the file before a workload identity expires.
type tokenFile struct {
	next http.RoundTripper
	path string
}

func (t *tokenFile) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := os.ReadFile(t.path)
	if err != nil {
		return nil, fmt.Errorf("token for Nomad: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("X-Nomad-Token", strings.TrimSpace(string(b)))
	return t.next.RoundTrip(r)
}
