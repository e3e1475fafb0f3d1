package main

import (
	"maps"
	"net/http"
	"strings"
)

// nomadRequests is how many short requests to Nomad are open at once. Nomad takes a hundred connections from one address and refuses the rest
// (limits.http_max_conns_per_client), and those that stay open need room as well.
const nomadRequests = 48

// bounded has requests wait for one another. What stays open by its nature is not counted: it would keep others waiting for as long. It also asks for answers as
// they are: Nomad is near, and to compress and unpack them costs both sides more than to send them.
type bounded struct {
	next   http.RoundTripper
	places chan struct{}
}

func newBounded(next http.RoundTripper, most int) *bounded {
	return &bounded{next: next, places: make(chan struct{}, most)}
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = uncompressed(r)
	if staysOpen(r) {
		return b.next.RoundTrip(r)
	}
	select {
	case b.places <- struct{}{}:
	case <-r.Context().Done():
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, r.Context().Err()
	}
	// Not until the body was read, which a caller may forget: then a connection more is open for a while, and no place is lost.
	defer func() { <-b.places }()
	return b.next.RoundTrip(r)
}

// uncompressed takes from a request that compressed answers are welcome, which Nomad's client adds to each.
func uncompressed(r *http.Request) *http.Request {
	plain := *r
	plain.Header = maps.Clone(r.Header)
	plain.Header.Del("Accept-Encoding")
	return &plain
}

// staysOpen tells a blocking query, the event stream and what comes from a machine, such as a log, from a short request.
func staysOpen(r *http.Request) bool {
	return r.URL.Query().Get("index") != "" || strings.HasPrefix(r.URL.Path, "/v1/event/") || strings.HasPrefix(r.URL.Path, "/v1/client/")
}
