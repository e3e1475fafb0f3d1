// Package config reads the hub's configuration: HCL files, then environment variables NOMADHUB_*, then flags. Every option has a default that works for
// a trial on one machine, and a sentence (the doc tag) that `nomadhub config` prints beside it.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// Config is the whole configuration.
type Config struct {
	BaseURL   string `hcl:"base_url,optional" doc:"Path below which everything is served. Begins and ends with a slash."`
	PublicURL string `hcl:"public_url,optional" doc:"Address at which browsers reach the hub, such as https://hub.example.org. Needed behind a proxy that speaks TLS."`

	// SubdomainHost has JupyterHub's name.
	SubdomainHost    string `hcl:"subdomain_host,optional" doc:"Address of the hub, such as https://hub.example.org, if each user and each service shall have a host of its own below it, such as alice.hub.example.org. All these hosts must lead to the hub."`
	CookieHostPrefix bool   `hcl:"cookie_host_prefix,optional" doc:"Whether the hub's login cookies, and those of servers, have names that begin with __Host-, so that no host below can put others in their place. Needs an https address."`

	Log      *Log      `hcl:"log,block" doc:"What is logged."`
	Listen   *Listen   `hcl:"listen,block" doc:"Where the hub listens."`
	Database *Database `hcl:"database,block" doc:"Where users, servers and tokens are kept."`
	Secrets  *Secrets  `hcl:"secrets,block" doc:"Where keys and client secrets come from."`
	Nomad    *Nomad    `hcl:"nomad,block" doc:"Servers run as Nomad jobs. Without this block they run as processes on this machine."`
	Consul   *Consul   `hcl:"consul,block" doc:"Routes come from Consul. Needed with Nomad."`
	Local    *Local    `hcl:"local,block" doc:"Servers as processes on this machine. Not used with Nomad."`
	Notebook *Notebook `hcl:"notebook,block" doc:"How users' servers are started."`
	Limits   *Limits   `hcl:"limits,block" doc:"What users may have."`
	Culling  *Culling  `hcl:"culling,block" doc:"Which servers are stopped because nobody uses them, or because of their age. Without idle_after and max_age, here or in a profile, none is."`
	Usage    *Usage    `hcl:"usage,block" doc:"The ledger of usage, and what it limits."`
	Audit    *Audit    `hcl:"audit,block" doc:"The log of who did what."`
	Metrics  *Metrics  `hcl:"metrics,block" doc:"What monitoring is told, and whom."`
	Events   *Events   `hcl:"events,block" doc:"What is told to other programs."`
	Login    *Login    `hcl:"login,block" doc:"Who may enter. Rules that allow add up; blocked_users wins over all."`

	Roles  []Role  `hcl:"role,block" doc:"Scopes for some users, members of groups and services, beside what everybody may do. There may be several blocks; a later file replaces one by using its name again."`
	Scopes []Scope `hcl:"scope,block" doc:"A scope of one's own, named custom: and something, for services that ask for it. There may be several blocks."`

	Services []Service `hcl:"service,block" doc:"A program beside the hub that speaks its API under a name of its own. What it may do is said by the roles that name it. There may be several blocks; a later file replaces one by using its name again."`

	Authenticators []Authenticator `hcl:"authenticator,block"`

	Profiles []Profile `hcl:"profile,block"`
	// ProfileDefaults hold for all profiles; of two files, what the later one says wins.
	ProfileDefaults []ProfileDefaults `hcl:"profile_defaults,block"`
}

// Address is where browsers reach the hub, as configured, or "".
func (c *Config) Address() string { return cmp.Or(c.PublicURL, c.SubdomainHost) }

// Log says what is logged.
type Log struct {
	Level  string `hcl:"level,optional" doc:"debug, info, warn or error."`
	Format string `hcl:"format,optional" doc:"text or json."`
}

// Listen says where the hub listens.
type Listen struct {
	Public         string   `hcl:"public,optional" doc:"Address for browsers."`
	Servers        string   `hcl:"servers,optional" doc:"Address at which users' servers reach the hub's API."`
	ServersURL     string   `hcl:"servers_url,optional" doc:"URL under which users' servers find that address; default: http:// and the address itself."`
	Metrics        string   `hcl:"metrics,optional" doc:"Address for metrics, health and readiness."`
	TrustedProxies []string `hcl:"trusted_proxies,optional" doc:"Networks (CIDR) of proxies whose X-Forwarded-For is believed."`
	DrainTimeout   Duration `hcl:"drain_timeout,optional" doc:"How long requests under way may go on when the hub stops."`
}

// Database says where rows are kept.
type Database struct {
	DSN            string `hcl:"dsn,optional" doc:"sqlite:///absolute/file.db, or postgres://user:password@host/database."`
	MaxConnections int    `hcl:"max_connections,optional" doc:"Connections to Postgres at most."`
}

// Secrets says where secrets come from: Vault if there is its block, else the environment if so said, else the file.
type Secrets struct {
	File        string   `hcl:"file,optional" doc:"Private file (mode 0600) with keys and client secrets, made at the first start."`
	Environment bool     `hcl:"environment,optional" doc:"Whether secrets come from environment variables instead of the file: NOMADHUB_SECRET_KEYS__ID, NOMADHUB_SECRET_OAUTH_ID__CLIENT_SECRET. Changing one needs a restart, and whoever may look at the process sees it."`
	Vault       *Vault   `hcl:"vault,block" doc:"Secrets come from Vault's KV store, version 2, instead of the file."`
	Interval    Duration `hcl:"interval,optional" doc:"How often secrets are read again, so that rotation needs no restart."`
}

// Vault says how to reach Vault. VAULT_ADDR and the other standard variables hold where an option is empty.
type Vault struct {
	Address   string `hcl:"address,optional" doc:"Address of Vault; default: VAULT_ADDR."`
	Mount     string `hcl:"mount,optional" doc:"Where the KV store is mounted."`
	Prefix    string `hcl:"prefix,optional" doc:"Path below which the hub's secrets are."`
	TokenFile string `hcl:"token_file,optional" doc:"File with a token, read again when it changes. On Nomad: the file that the vault block makes."`
	JWTFile   string `hcl:"jwt_file,optional" doc:"File with a workload identity to log in with instead of a token."`
	JWTRole   string `hcl:"jwt_role,optional" doc:"Role to log in to with jwt_file."`
	JWTMount  string `hcl:"jwt_mount,optional" doc:"Mount of the JWT auth method."`
}

// Nomad says how servers run as jobs. NOMAD_ADDR and the other standard variables hold where an option is empty.
type Nomad struct {
	Address    string            `hcl:"address,optional" doc:"Address of Nomad, or unix:///path of the task API; default: NOMAD_ADDR."`
	Addresses  []string          `hcl:"addresses,optional" doc:"Further addresses of the same Nomad, which are used in turn while one does not serve."`
	TokenFile  string            `hcl:"token_file,optional" doc:"File with a token or workload identity, read again when it changes; default: NOMAD_TOKEN."`
	Region     string            `hcl:"region,optional" doc:"Region; default: the agent's."`
	Namespace  string            `hcl:"namespace,optional" doc:"Namespace of users' jobs."`
	Namespaces []string          `hcl:"namespaces,optional" doc:"Further namespaces, which profiles choose by their namespace. The hub's token needs the same rights there."`
	Regions    []string          `hcl:"regions,optional" doc:"Further regions, which profiles choose by their region, with the same namespaces. Needs region, so that the hub knows which is its own."`
	Jobspec    string            `hcl:"jobspec,optional" doc:"File with the job of one server; default: the one that comes with the hub."`
	Variables  map[string]string `hcl:"variables,optional" doc:"Values for the jobspec's variables."`
	WarmImages bool              `hcl:"warm_images,optional" doc:"Whether machines keep the images of the profiles, so that no start waits for a pull. Takes a small container on each machine for each image."`
	JobPrefix  string            `hcl:"job_prefix,optional" doc:"Beginning of the jobs' IDs; the server's ID follows."`
	// Services that run as jobs have a jobspec of their own.
	ServiceJobspec   string            `hcl:"service_jobspec,optional" doc:"File with the job of one service; default: the one that comes with the hub."`
	ServiceVariables map[string]string `hcl:"service_variables,optional" doc:"Values for the variables of that jobspec."`
	MHzPerCore       int               `hcl:"mhz_per_core,optional" doc:"What a core counts in Nomad; 0: what a core of the slowest machine in the server's node pool has."`
}

// Consul says how routes are found. CONSUL_HTTP_ADDR and the other standard variables hold where an option is empty.
type Consul struct {
	Address       string `hcl:"address,optional" doc:"Address of Consul; default: CONSUL_HTTP_ADDR."`
	TokenFile     string `hcl:"token_file,optional" doc:"File with a token, read again when it changes; default: CONSUL_HTTP_TOKEN."`
	Prefix        string `hcl:"prefix,optional" doc:"Key below which the hub keeps its signed bindings."`
	ServicePrefix string `hcl:"service_prefix,optional" doc:"Beginning of the 128 service names over which servers are spread."`
}

// Local says how servers run as processes.
type Local struct {
	Directory   string   `hcl:"directory,optional" doc:"Where state and logs of servers are kept."`
	Home        string   `hcl:"home,optional" doc:"Directory below which each server gets a home of its own."`
	Command     []string `hcl:"command,optional" doc:"What to run."`
	Accounts    bool     `hcl:"accounts,optional" doc:"Whether each server runs as the local account of its user's name, in that account's home. Needs root."`
	StopServers bool     `hcl:"stop_servers,optional" doc:"Whether servers end with the hub. Otherwise they go on, and the next start finds them."`
}

// Notebook says how users' servers are started.
type Notebook struct {
	Env           map[string]string `hcl:"env,optional" doc:"Added to every server's environment."`
	DefaultURL    string            `hcl:"default_url,optional" doc:"Where a server's root leads, such as /lab; default: the server decides."`
	CPU           int               `hcl:"cpu,optional" doc:"MHz reserved; 0: as the jobspec says."`
	Memory        int64             `hcl:"memory,optional" doc:"MiB reserved; 0: as the jobspec says."`
	MemoryMax     int64             `hcl:"memory_max,optional" doc:"MiB at most, where the cluster allows more than is reserved; 0: as the jobspec says."`
	PlaceTimeout  Duration          `hcl:"place_timeout,optional" doc:"From the moment a start may go on to its place on a machine. It does not run while the machines have no room."`
	AnswerTimeout Duration          `hcl:"answer_timeout,optional" doc:"From its place to its first answer. It does not run while an image is pulled."`
	QueueTimeout  Duration          `hcl:"queue_timeout,optional" doc:"How long a start waits for its turn and for room before it is given up."`
}

// Limits says what users may have.
type Limits struct {
	NamedServers     bool `hcl:"named_servers,optional" doc:"Whether users may have servers with names beside the default one."`
	NamedPerUser     int  `hcl:"named_servers_per_user,optional" doc:"How many of them; 0: any number."`
	ServersPerUser   int  `hcl:"servers_per_user,optional" doc:"Servers of one user that run, wait or are pending at once; 0: any number."`
	ConcurrentStarts int  `hcl:"concurrent_starts,optional" doc:"Starts under way at once. People wait for their turn, programs are told to come back."`
	ActiveServers    int  `hcl:"active_servers,optional" doc:"Servers running or pending in all; 0: any number."`
	QueuedStarts     int  `hcl:"queued_starts,optional" doc:"Starts that wait for their turn at most."`
	// Requests are counted by each hub for itself.
	RequestsPerSecond int `hcl:"requests_per_second,optional" doc:"Requests to the API that each token may make in the long run, at one hub; 0: any number. Every user may make four times as many with all tokens together."`
	RequestBurst      int `hcl:"request_burst,optional" doc:"Requests that may be made at once beyond that, by a token that was quiet before."`
	// So are wrong passwords.
	WrongPerName    int `hcl:"wrong_passwords_per_name,optional" doc:"Wrong passwords for one name, at one hub, before others from where it never logged in have to wait; 0: any number."`
	WrongPerAddress int `hcl:"wrong_passwords_per_address,optional" doc:"Wrong passwords from one address, at one hub, before names that never logged in from there have to wait; 0: any number."`
	// TokenSeconds has JupyterHub's name.
	TokenSeconds int `hcl:"token_expires_in_max_seconds,optional" doc:"How long a token that somebody makes lives at most, and if nothing is said; 0: as long as they like."`

	Groups []GroupLimits `hcl:"group,block" doc:"Limits of one group. 0 leaves a limit as it is without the group. There may be several blocks; a later file replaces one by using its name again."`
}

// GroupLimits are the limits of one group.
type GroupLimits struct {
	Name             string `hcl:"name,label"`
	ActiveServers    int    `hcl:"active_servers,optional" doc:"Servers of all members together."`
	ConcurrentStarts int    `hcl:"concurrent_starts,optional" doc:"Starts of all members together."`
	NamedPerUser     int    `hcl:"named_servers_per_user,optional" doc:"Named servers of one member, instead of the hub's limit; of several groups the most generous counts; -1: any number."`
	ServersPerUser   int    `hcl:"servers_per_user,optional" doc:"Servers of one member at once, instead of the hub's limit; of several groups the most generous counts; -1: any number."`
}

// Login says who may enter.
type Login struct {
	AllowAll        bool     `hcl:"allow_all,optional" doc:"Everybody whom an authenticator vouches for."`
	Public          bool     `hcl:"public,optional" doc:"Says that allow_all is meant even for a provider where anybody can get an account."`
	AllowedUsers    []string `hcl:"allowed_users,optional" doc:"These users."`
	AllowedGroups   []string `hcl:"allowed_groups,optional" doc:"Members of any of these groups."`
	BlockedUsers    []string `hcl:"blocked_users,optional" doc:"Never these, whatever else is said."`
	AdminUsers      []string `hcl:"admin_users,optional" doc:"These users may enter and are administrators."`
	SessionLifetime Duration `hcl:"session_lifetime,optional" doc:"How long a login lasts."`
	LinkByName      bool     `hcl:"link_by_name,optional" doc:"Whether two authenticators mean the same person by the same name. Only where both speak of the same people."`
}

// Authenticator is one way to log in. Its type decides what may stand in the block.
type Authenticator struct {
	Type string   `hcl:"type,label"` // "github", "oidc", "dummy"
	ID   string   `hcl:"id,label"`   // names it in URLs
	Body hcl.Body `hcl:",remain"`
	// Text is the block as it stands in its file.
	Text string
}

// Profile is one kind of server that users may choose. What may stand in it is package profile's business.
type Profile struct {
	Name string   `hcl:"name,label"`
	Body hcl.Body `hcl:",remain"`
	// Text is the block as it stands in its file.
	Text string
}

// ProfileDefaults are what all profiles begin with.
type ProfileDefaults struct {
	Body hcl.Body `hcl:",remain"`
	Text string
}

// Default is the configuration without any file: a trial on this machine, below directory.
func Default(directory string) Config {
	return Config{
		BaseURL:  "/",
		Log:      &Log{Level: "info", Format: "text"},
		Listen:   &Listen{Public: "127.0.0.1:8000", Servers: "127.0.0.1:8081", Metrics: "127.0.0.1:8082", DrainTimeout: "10s"},
		Database: &Database{DSN: "sqlite://" + directory + "/hub.db", MaxConnections: 20},
		Secrets:  &Secrets{File: directory + "/secrets.json", Interval: "10s"},
		Local:    &Local{Directory: directory + "/servers", Home: directory + "/home", Command: []string{"jupyterhub-singleuser"}},
		Notebook: &Notebook{PlaceTimeout: "2m", AnswerTimeout: "1m", QueueTimeout: "1h"},
		Limits:   &Limits{ConcurrentStarts: 100, QueuedStarts: 10_000, RequestsPerSecond: 200, RequestBurst: 2000, WrongPerName: 5, WrongPerAddress: 50},
		Culling: &Culling{
			Warning: "10m", KeepFor: "2h", Interval: "1m", ActivityInterval: "5m", BusyKernels: true, BusyCPU: 0.2, BusyDevices: 5,
		},
		Usage: &Usage{Retention: "9600h", CoreMHz: 2000, Timezone: "UTC", Grace: "15m", Interval: "1m"},
		Audit: &Audit{Keep: "8760h"}, Metrics: &Metrics{AuthenticatePrometheus: true}, Events: &Events{},
		Login: &Login{SessionLifetime: "336h"},
	}
}

// Defaults of the blocks that are absent by default.
func (v *Vault) fill() {
	v.Mount, v.Prefix, v.JWTMount = cmp.Or(v.Mount, "secret"), cmp.Or(v.Prefix, "nomadhub"), cmp.Or(v.JWTMount, "jwt-nomad")
}

func (n *Nomad) fill() {
	n.Namespace, n.JobPrefix = cmp.Or(n.Namespace, "default"), cmp.Or(n.JobPrefix, "notebook-")
}

// NomadPlace is one namespace of one region.
type NomadPlace struct{ Region, Namespace string }

// Places are where servers may run. The first one is for those whose profile names none.
func (n *Nomad) Places() []NomadPlace {
	var all []NomadPlace
	for _, region := range append([]string{n.Region}, n.Regions...) {
		for _, namespace := range append([]string{n.Namespace}, n.Namespaces...) {
			all = append(all, NomadPlace{region, namespace})
		}
	}
	return all
}

// Has tells whether servers may run in that namespace of that region. What is empty is the hub's own.
func (n *Nomad) Has(region, namespace string) bool {
	return slices.Contains(n.Places(), NomadPlace{cmp.Or(region, n.Region), cmp.Or(namespace, n.Namespace)})
}

// validate finds places that cannot be meant.
func (n *Nomad) validate() error {
	if n == nil {
		return nil
	}
	errs := []error{n.checkAddresses()}
	check := func(option, own string, more []string) {
		for i, name := range more {
			switch {
			case name == "" || name == "*":
				errs = append(errs, fmt.Errorf("nomad.%ss: %q is no %s; name each one", option, name, option))
			case name == own || slices.Contains(more[:i], name):
				errs = append(errs, fmt.Errorf("nomad.%ss: %q is named twice; nomad.%s is one of them anyway", option, name, option))
			}
		}
	}
	check("namespace", n.Namespace, n.Namespaces)
	check("region", n.Region, n.Regions)
	if len(n.Regions) > 0 && n.Region == "" {
		errs = append(errs, errors.New("nomad.regions needs nomad.region: without it the hub does not know which region is its own"))
	}
	return errors.Join(errs...)
}

// checkAddresses finds what cannot be an address beside others. The environment's NOMAD_ADDR is not known here.
func (n *Nomad) checkAddresses() error {
	if len(n.Addresses) == 0 {
		return nil
	}
	var errs []error
	for i, address := range slices.Concat([]string{cmp.Or(n.Address, "http://x")}, n.Addresses) {
		u, err := url.Parse(address)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			errs = append(errs, fmt.Errorf("nomad.addresses: %q is not of the form http://HOST:PORT or https://HOST:PORT, as each address must be where there are several", address))
		case i > 0 && (address == n.Address || slices.Contains(n.Addresses[:i-1], address)):
			errs = append(errs, fmt.Errorf("nomad.addresses: %q is named twice; nomad.address is one of them anyway", address))
		}
	}
	return errors.Join(errs...)
}

func (c *Consul) fill() {
	c.Prefix, c.ServicePrefix = cmp.Or(c.Prefix, "nomadhub"), cmp.Or(c.ServicePrefix, "notebook")
}

// Duration is a length of time, written as "90s" or "2m".
type Duration string

// Value returns the duration; Validate has seen to it that it can be parsed.
func (d Duration) Value() time.Duration {
	v, err := time.ParseDuration(string(d))
	if err != nil {
		return 0
	}
	return v
}
