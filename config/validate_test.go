package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*Config)
		want   string // "": it is valid
	}{
		"defaults":                  {func(*Config) {}, ""},
		"base_url without slash":    {func(c *Config) { c.BaseURL = "/jupyter" }, "base_url"},
		"base_url of two slashes":   {func(c *Config) { c.BaseURL = "//evil.example/" }, "base_url"},
		"base_url with a query":     {func(c *Config) { c.BaseURL = "/?a/" }, "base_url"},
		"base_url is empty":         {func(c *Config) { c.BaseURL = "" }, "base_url"},
		"base_url":                  {func(c *Config) { c.BaseURL = "/a/b/" }, ""},
		"public_url with a path":    {func(c *Config) { c.PublicURL = "https://hub.example.org/jupyter" }, "public_url"},
		"public_url of ftp":         {func(c *Config) { c.PublicURL = "ftp://hub.example.org" }, "public_url"},
		"public_url without host":   {func(c *Config) { c.PublicURL = "https://" }, "public_url"},
		"public_url":                {func(c *Config) { c.PublicURL = "https://hub.example.org" }, ""},
		"hosts for users":           {func(c *Config) { c.SubdomainHost = "https://hub.example.org:8443" }, ""},
		"hosts for users, twice":    {func(c *Config) { c.SubdomainHost, c.PublicURL = "https://hub.example.org", "https://HUB.example.org/" }, ""},
		"two addresses of the hub":  {func(c *Config) { c.SubdomainHost, c.PublicURL = "https://hub.example.org", "https://example.org" }, "leave public_url away"},
		"hosts below an address":    {func(c *Config) { c.SubdomainHost = "https://10.0.0.1" }, "subdomain_host must be a name"},
		"hosts below a bare name":   {func(c *Config) { c.SubdomainHost = "http://localhost:8000" }, "subdomain_host must be a name"},
		"hosts below a path":        {func(c *Config) { c.SubdomainHost = "https://hub.example.org/jupyter" }, "subdomain_host must be http"},
		"hosts without a scheme":    {func(c *Config) { c.SubdomainHost = "hub.example.org" }, "subdomain_host must be http"},
		"host prefix":               {func(c *Config) { c.CookieHostPrefix, c.PublicURL = true, "https://hub.example.org" }, ""},
		"host prefix and hosts":     {func(c *Config) { c.CookieHostPrefix, c.SubdomainHost = true, "https://hub.example.org" }, ""},
		"host prefix without TLS":   {func(c *Config) { c.CookieHostPrefix, c.PublicURL = true, "http://hub.example.org" }, "cookie_host_prefix needs"},
		"host prefix, no address":   {func(c *Config) { c.CookieHostPrefix = true }, "cookie_host_prefix needs"},
		"servers_url":               {func(c *Config) { c.Listen.ServersURL = "hub:8081" }, "listen.servers_url"},
		"address without a port":    {func(c *Config) { c.Listen.Public = "localhost" }, "listen.public"},
		"trusted proxy, no network": {func(c *Config) { c.Listen.TrustedProxies = []string{"10.0.0.1"} }, "listen.trusted_proxies"},
		"trusted proxy":             {func(c *Config) { c.Listen.TrustedProxies = []string{"10.0.0.0/8", "::1/128"} }, ""},
		"duration without a unit":   {func(c *Config) { c.Notebook.PlaceTimeout = "30" }, "NOMADHUB_NOTEBOOK_PLACE_TIMEOUT"},
		"duration below zero":       {func(c *Config) { c.Login.SessionLifetime = "-1h" }, "NOMADHUB_LOGIN_SESSION_LIFETIME"},
		"duration of zero":          {func(c *Config) { c.Secrets.Interval = "0s" }, "NOMADHUB_SECRETS_INTERVAL"},
		"database of another kind":  {func(c *Config) { c.Database.DSN = "mysql://hub" }, "database.dsn"},
		"postgres":                  {func(c *Config) { c.Database.DSN = "postgres://hub@db/hub" }, ""},
		"Nomad without Consul":      {func(c *Config) { c.Nomad = &Nomad{} }, "consul block"},
		"Consul without Nomad":      {func(c *Config) { c.Consul = &Consul{} }, "nomad block"},
		"both":                      {func(c *Config) { c.Nomad, c.Consul = &Nomad{}, &Consul{} }, ""},
		"namespaces": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Namespace: "a", Namespaces: []string{"b", "c"}}, &Consul{}
		}, ""},
		"a namespace twice": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Namespace: "a", Namespaces: []string{"b", "a"}}, &Consul{}
		}, "nomad.namespaces"},
		"all namespaces": {func(c *Config) { c.Nomad, c.Consul = &Nomad{Namespaces: []string{"*"}}, &Consul{} }, "nomad.namespaces"},
		"regions": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Region: "a", Regions: []string{"b"}}, &Consul{}
		}, ""},
		"regions without the own one": {func(c *Config) { c.Nomad, c.Consul = &Nomad{Regions: []string{"b"}}, &Consul{} }, "nomad.regions needs nomad.region"},
		"addresses": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Address: "https://a:4646", Addresses: []string{"https://b:4646", "https://c:4646"}}, &Consul{}
		}, ""},
		"an address twice": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Address: "https://a:4646", Addresses: []string{"https://b:4646", "https://a:4646"}}, &Consul{}
		}, "named twice"},
		"no address": {func(c *Config) { c.Nomad, c.Consul = &Nomad{Addresses: []string{"b:4646"}}, &Consul{} }, "nomad.addresses"},
		"a socket among addresses": {func(c *Config) {
			c.Nomad, c.Consul = &Nomad{Address: "unix:///x", Addresses: []string{"http://b:4646"}}, &Consul{}
		}, "as each address must be where there are several"},
		"secrets of two places": {func(c *Config) { c.Secrets.Environment, c.Secrets.Vault = true, &Vault{} }, "exclude each other"},
		"log level":             {func(c *Config) { c.Log.Level = "loud" }, "log.level"},
		"log format":            {func(c *Config) { c.Log.Format = "xml" }, "log.format"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Default("/data")
			test.change(&c)
			err := c.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
}

func TestValidateTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	c := Default("/data")
	c.BaseURL, c.Log.Level, c.Listen.Metrics = "x", "x", "x"
	err := c.Validate()
	for _, part := range []string{"base_url", "log.level", "listen.metrics"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %s", err, part)
		}
	}
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:8000": true, "127.8.8.8:1": true, "[::1]:8000": true, "localhost:80": true,
		"0.0.0.0:8000": false, ":8000": false, "[::]:8000": false, "10.0.0.1:80": false, "hub.example.org:80": false, "127.0.0.1": false,
	} {
		if got := Loopback(addr); got != want {
			t.Errorf("Loopback(%q) is %v", addr, got)
		}
	}
}

func TestDurationValue(t *testing.T) {
	t.Parallel()
	if got := Duration("90s").Value(); got != 90*time.Second {
		t.Errorf("got %s", got)
	}
}

func TestPlacesOfServers(t *testing.T) {
	t.Parallel()
	n := Nomad{Region: "eu", Regions: []string{"us"}, Namespace: "small", Namespaces: []string{"gpu"}}
	want := []NomadPlace{{"eu", "small"}, {"eu", "gpu"}, {"us", "small"}, {"us", "gpu"}}
	if got := n.Places(); !slices.Equal(got, want) {
		t.Errorf("places %v, want %v", got, want)
	}
	for where, has := range map[NomadPlace]bool{
		{"", ""}: true, {"", "gpu"}: true, {"us", ""}: true, {"us", "gpu"}: true, {"asia", ""}: false, {"", "else"}: false, {"us", "else"}: false,
	} {
		if n.Has(where.Region, where.Namespace) != has {
			t.Errorf("servers may run in %v: %v", where, !has)
		}
	}
	if alone := (&Nomad{Namespace: "small"}); len(alone.Places()) != 1 || alone.Has("eu", "") || !alone.Has("", "small") {
		t.Errorf("a hub of one namespace: %v", alone.Places())
	}
}
