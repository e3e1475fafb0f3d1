package hub

import (
	"net"
	"net/url"
	"strings"
	"unicode"
)

const (
	minServiceToken = 8 // JupyterHub's; whoever chooses one should make it longer
	maxServiceToken = 1000
	maxServiceText  = 2000 // bytes of an address
)

// CheckService tells what is wrong with a service by itself, as an Invalid [Error], or returns nil.
func CheckService(s Service, token string) error {
	if err := checkService(s); err != nil {
		return err
	}
	return checkServiceToken(token)
}

func checkService(s Service) error {
	if !serviceName.MatchString(s.Name) {
		return Errorf(Invalid, "A service's name has 1 to 100 letters, digits and - _ . ~ in it and begins with a letter or digit. It is part of an address.")
	}
	if s.URL != "" {
		if _, err := serviceAddress(s.URL); err != nil {
			return err
		}
	}
	if s.Scheduled && s.URL != "" {
		return Errorf(Invalid, "The cluster decides where the job of a service listens. Leave its url out, and say that it serves pages.")
	}
	if s.ClientID != "" && (!strings.HasPrefix(s.ClientID, serviceClientPrefix) || !serviceName.MatchString(s.ClientID)) {
		return Errorf(Invalid, "oauth_client_id must begin with service- and have no more than letters, digits and - _ . ~ in it, so that it is no server's.")
	}
	if err := checkRedirect(s.RedirectURI); err != nil {
		return err
	}
	if len(s.AllowedScopes) > maxScopes {
		return Errorf(Invalid, "oauth_client_allowed_scopes has more than %d entries.", maxScopes)
	}
	for name, value := range s.Environment {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return Errorf(Invalid, "The environment has a variable that no program could get.")
		}
	}
	return nil
}

// checkRedirect wants a path here or an address elsewhere, and nothing to which a code could be added wrongly.
func checkRedirect(uri string) error {
	if uri == "" {
		return nil
	}
	u, err := url.Parse(uri)
	visible := strings.IndexFunc(uri, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) < 0
	local := strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "//") && !strings.Contains(uri, `\`)
	if err != nil || !visible || strings.Contains(uri, "#") || len(uri) > maxServiceText ||
		!local && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return Errorf(Invalid, "oauth_redirect_uri must be a path that begins with one slash, or http(s)://host/path, without a fragment.")
	}
	return nil
}

func checkServiceToken(token string) error {
	switch {
	case token == "":
		return nil
	case len(token) < minServiceToken:
		return Errorf(Invalid, "The service's api_token is shorter than %d characters. Make one with: openssl rand -hex 32", minServiceToken)
	case len(token) > maxServiceToken:
		return Errorf(Invalid, "The service's api_token is longer than %d bytes.", maxServiceToken)
	case strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return Errorf(Invalid, "The service's api_token may hold visible ASCII characters only; it is sent in a header.")
	}
	return nil
}

// serviceAddress is where a service listens, as host:port.
func serviceAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(text) > maxServiceText {
		return "", Errorf(Invalid, "A service's url must be http://host:port, which the hub's proxy reaches. What it serves begins with the service's own path.")
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
