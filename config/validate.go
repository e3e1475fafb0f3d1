package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Validate gathers all that is wrong. It looks at the configuration only; nothing is asked of the network.
func (c *Config) Validate() error {
	var errs []error
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add(c.validateURLs())
	for name, addr := range map[string]string{"public": c.Listen.Public, "servers": c.Listen.Servers, "metrics": c.Listen.Metrics} {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			add(fmt.Errorf("listen.%s must be host:port, and is %q", name, addr))
		}
	}
	for _, n := range c.Listen.TrustedProxies {
		if _, err := netip.ParsePrefix(n); err != nil {
			add(fmt.Errorf("listen.trusted_proxies: %q is not a network such as 10.0.0.0/8", n))
		}
	}
	for name, option := range c.options() {
		if option.Type() == reflect.TypeFor[Duration]() {
			if d, err := time.ParseDuration(option.String()); err != nil || d <= 0 {
				add(fmt.Errorf("%s: %q is not a length of time above zero, such as 30s", name, option.String()))
			}
		}
	}
	if !strings.HasPrefix(c.Database.DSN, "sqlite:") && !strings.HasPrefix(c.Database.DSN, "postgres://") && !strings.HasPrefix(c.Database.DSN, "postgresql://") {
		add(errors.New("database.dsn must begin with sqlite: or postgres://"))
	}
	if c.Nomad != nil && c.Consul == nil {
		add(errors.New("with a nomad block there must be a consul block: the routes to Nomad's servers come from there"))
	}
	if c.Nomad == nil && c.Consul != nil {
		add(errors.New("a consul block needs a nomad block: servers on this machine are not registered in Consul"))
	}
	if c.Secrets.Environment && c.Secrets.Vault != nil {
		add(errors.New("secrets.environment and a secrets.vault block exclude each other: secrets come from one place"))
	}
	add(c.Nomad.validate())
	add(c.validateServices())
	add(c.Limits.validate())
	add(c.Culling.validate())
	add(c.Usage.validate())
	add(c.Audit.validate())
	add(c.Metrics.validate())
	add(c.validateLog())
	return errors.Join(errs...)
}

func (c *Config) validateURLs() error {
	var errs []error
	if !strings.HasPrefix(c.BaseURL, "/") || !strings.HasSuffix(c.BaseURL, "/") || strings.ContainsAny(c.BaseURL, "?#% \\") || strings.Contains(c.BaseURL, "//") {
		errs = append(errs, fmt.Errorf("base_url must be a path that begins and ends with a slash, and is %q", c.BaseURL))
	}
	for name, text := range map[string]string{"public_url": c.PublicURL, "subdomain_host": c.SubdomainHost, "listen.servers_url": c.Listen.ServersURL} {
		u, err := url.Parse(text)
		if text != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "") {
			errs = append(errs, fmt.Errorf("%s must be http(s)://host[:port] without a path, and is %q", name, text))
		}
	}
	return errors.Join(append(errs, c.validateHosts())...)
}

// validateHosts finds what cannot keep browsers' pages and cookies apart.
func (c *Config) validateHosts() error {
	var errs []error
	u, err := url.Parse(c.SubdomainHost)
	if c.SubdomainHost != "" && err == nil {
		_, ipErr := netip.ParseAddr(u.Hostname())
		switch {
		case ipErr == nil || !strings.Contains(strings.Trim(u.Hostname(), "."), "."):
			errs = append(errs, fmt.Errorf("subdomain_host must be a name with a dot, such as https://hub.example.org, below which there can be others, and is %q", c.SubdomainHost))
		case c.PublicURL != "" && !sameAddress(c.PublicURL, c.SubdomainHost):
			errs = append(errs, fmt.Errorf("public_url is %q and subdomain_host is %q; they are the same address, so leave public_url away", c.PublicURL, c.SubdomainHost))
		}
	}
	if c.CookieHostPrefix && !strings.HasPrefix(strings.ToLower(c.Address()), "https://") {
		errs = append(errs, errors.New("cookie_host_prefix needs a public_url, or a subdomain_host, that begins with https://: browsers take cookies with that prefix over TLS only"))
	}
	return errors.Join(errs...)
}

func sameAddress(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

func (c *Config) validateLog() error {
	var errs []error
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, fmt.Errorf("log.level must be debug, info, warn or error, and is %q", c.Log.Level))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format must be text or json, and is %q", c.Log.Format))
	}
	return errors.Join(errs...)
}

// Loopback tells whether only programs on this machine can reach an address such as 127.0.0.1:8000.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
