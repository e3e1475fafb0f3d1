package routing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// errNoLongerRouted means that the table changed between the lookup and the dial. Dialling the old address now could reach another
// user's server, to which the address may belong by now.
var errNoLongerRouted = errors.New("routing: this run of the server is no longer routed")

// newTransport makes the one transport for all servers. Connections are pooled by the URL's host, and rewrite puts the name of a run
// there; so a connection that was kept alive for one run is never used for another, whatever address either has.
func (p *Proxy) newTransport(pattern *http.Transport) *http.Transport {
	if pattern == nil {
		pattern = defaultTransport()
	}
	t := pattern.Clone()
	dial := t.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, dial) }
	// Nothing but our dialer decides where a connection goes.
	t.Proxy, t.DialTLSContext, t.ForceAttemptHTTP2 = nil, nil, false
	t.Dial, t.DialTLS = nil, nil //nolint:staticcheck // a pattern may still carry the old fields
	return t
}

func defaultTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConns:          8192,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       60 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // or the client would not get what the server sent
		ReadBufferSize:        8 << 10,
		WriteBufferSize:       8 << 10,
	}
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dial connects to the address of the call's route, if that route still stands.
func (p *Proxy) dial(ctx context.Context, dial dialFunc) (net.Conn, error) {
	c := callOf(ctx)
	if c == nil || !p.router.Table().holds(c.entry) {
		return nil, errNoLongerRouted
	}
	conn, err := dial(ctx, "tcp", c.entry.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to server %s: %w", c.entry.Server, err)
	}
	if !p.router.Table().holds(c.entry) { // replaced while we waited for the connection
		_ = conn.Close()
		return nil, errNoLongerRouted
	}
	return conn, nil
}
