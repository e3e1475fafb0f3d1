package routing

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// rewrite makes the outgoing request. Host, path, query and all headers that a server looks at stay as they came; jupyter-server
// compares Host with Origin, and takes the client's address and scheme from the forwarded headers.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	c := callOf(pr.In.Context())
	out := pr.Out
	out.URL.Scheme = "http"
	out.URL.Host = c.entry.pool // names the connection pool; the dialer knows the address
	// ReverseProxy drops query parameters that it cannot parse, so that a proxy and its server cannot read a query differently. We
	// decide nothing by the query, and servers must see what the client sent.
	out.URL.RawQuery = pr.In.URL.RawQuery
	out.Host = pr.In.Host
	if !c.upgrade {
		// Nothing but websockets is upgraded: h2c, for one, would carry requests past us.
		out.Header.Del("Connection")
		out.Header.Del("Upgrade")
	}
	p.setForwarded(pr.In, out.Header)
	p.private.removeFromRequest(out.Header, c.entry.Prefix)
}

// The names by which proxies say where a request came from. Servers believe them.
var forwardedHeaders = [...]string{
	"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Host", "Forwarded", "X-Scheme", "X-Real-Ip",
}

// setForwarded adds this proxy to the forwarded headers. ReverseProxy has taken some of them away before, and everything that the
// client's Connection header names, so what we set always arrives.
func (p *Proxy) setForwarded(in *http.Request, out http.Header) {
	dropAliases(out)
	trusted := p.trustForwarded(in)
	for _, name := range forwardedHeaders {
		delete(out, name)
		if values := in.Header[name]; trusted && len(values) > 0 {
			out[name] = []string{strings.Join(values, ",")}
		}
	}
	client, _, err := net.SplitHostPort(in.RemoteAddr)
	if err != nil {
		client = in.RemoteAddr
	}
	scheme, port := "http", "80"
	if in.TLS != nil {
		scheme, port = "https", "443"
	}
	if p := portOf(in.Host); p != "" {
		port = p
	}
	appendValue(out, "X-Forwarded-For", client)
	appendValue(out, "X-Forwarded-Proto", scheme)
	appendValue(out, "X-Forwarded-Port", port)
	if len(out["X-Forwarded-Host"]) == 0 {
		out["X-Forwarded-Host"] = []string{in.Host}
	}
}

func appendValue(h http.Header, name, value string) {
	if old := h[name]; len(old) > 0 && old[0] != "" {
		value = old[0] + "," + value
	}
	h[name] = []string{value}
}

func portOf(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil {
		return port
	}
	return ""
}

// dropAliases removes X_Forwarded_For and the like: servers behind WSGI cannot tell them from the real ones.
func dropAliases(h http.Header) {
	for name := range h {
		if !strings.Contains(name, "_") {
			continue
		}
		dashed := http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
		for _, known := range forwardedHeaders {
			if dashed == known {
				delete(h, name)
			}
		}
	}
}

// modifyResponse keeps a server from setting cookies that are not its own, and from speaking for the whole host. Nothing else of an answer is touched.
func (p *Proxy) modifyResponse(res *http.Response) error {
	prefix := callOf(res.Request.Context()).entry.Prefix
	p.private.removeFromResponse(res.Header, prefix)
	for _, name := range hostHeaders {
		delete(res.Header, name)
	}
	if scope := res.Header.Get(workerHeader); scope != "" && !below(prefix, scope) {
		delete(res.Header, workerHeader)
	}
	return nil
}

// workerHeader lets a script listen to all requests below a path.
const workerHeader = "Service-Worker-Allowed"

// hostHeaders are about a whole host, and on its way others live, too: what browsers keep for it, and whether they come by TLS.
var hostHeaders = [...]string{"Clear-Site-Data", "Strict-Transport-Security"}

// below tells whether a percent-encoded path is at or below a decoded prefix. What may be read in several ways is not.
func below(prefix, path string) bool {
	decoded, err := url.PathUnescape(path)
	return err == nil && strings.HasPrefix(decoded, prefix) && !strings.Contains(decoded, "..") && !strings.ContainsAny(decoded, "\\?#")
}

// isWebSocket tells whether the request asks for a websocket, with the same reading of the headers as ReverseProxy.
func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && hasToken(r.Header["Connection"], "upgrade")
}

func hasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}
