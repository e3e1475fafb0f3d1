package nomad

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
)

// Failover is a round tripper that knows several addresses of one Nomad. All requests go to one of them, until it does not serve; then they go to the next.
//
// A request is sent again only where nothing can be done twice: when no connection came about, when it only reads, or when the server said that it has no leader.
// Every other failure is its caller's, and the next request goes elsewhere. A server that takes connections and says nothing is left when a request runs out of
// time, apart from those that may wait long: blocking queries, streams, and what comes from machines or other regions.
type Failover struct {
	next      http.RoundTripper
	addresses []*url.URL
	region    string
	current   atomic.Int64 // index of the address in use
	log       *slog.Logger
}

var _ http.RoundTripper = (*Failover)(nil)

// NewFailover returns one over at least one address, each a URL of scheme and host. What requests say of their host is replaced. The region is that of the
// addresses; "" where there is only one. A nil logger logs nothing.
func NewFailover(next http.RoundTripper, addresses []string, region string, log *slog.Logger) (*Failover, error) {
	f := &Failover{next: next, region: region, log: cmp.Or(log, slog.New(slog.DiscardHandler))}
	if len(addresses) == 0 {
		return nil, errors.New("nomad: no address given")
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return nil, fmt.Errorf("nomad: the address %q is not of the form http://HOST:PORT or https://HOST:PORT", address)
		}
		f.addresses = append(f.addresses, u)
	}
	return f, nil
}

// RoundTrip implements [http.RoundTripper].
func (f *Failover) RoundTrip(r *http.Request) (*http.Response, error) {
	at := f.current.Load()
	for tries := 1; ; tries++ {
		res, err := f.send(r, at)
		left, again := f.judge(r, res, err)
		if left {
			at = f.leave(r.Context(), at, err)
		}
		if !left || !again || tries == len(f.addresses) {
			return res, err
		}
		if res != nil {
			_ = res.Body.Close()
		}
		if r, err = rewound(r); err != nil {
			return nil, err
		}
	}
}

// send sends the request to one address.
func (f *Failover) send(r *http.Request, at int64) (*http.Response, error) {
	to := f.addresses[at]
	sent := *r
	target := *r.URL
	target.Scheme, target.Host = to.Scheme, to.Host
	sent.URL, sent.Host = &target, to.Host
	return f.next.RoundTrip(&sent)
}

// judge tells whether the address is to be left, and whether the request may be sent to the next one.
func (f *Failover) judge(r *http.Request, res *http.Response, err error) (left, again bool) {
	ended := r.Context().Err()
	switch {
	case err == nil:
		left = res.StatusCode == http.StatusInternalServerError && !f.elsewhere(r) && saysNoLeader(res)
		return left, left && ended == nil
	case errors.Is(ended, context.DeadlineExceeded):
		return !f.waitsLong(r), false
	case ended != nil:
		return false, false
	}
	op, isNet := errors.AsType[*net.OpError](err)
	unsent := isNet && op.Op == "dial"
	return true, unsent || r.Method == http.MethodGet
}

// elsewhere reports whether a request is for another region, whose troubles are not those of the server that was asked.
func (f *Failover) elsewhere(r *http.Request) bool {
	region := r.URL.Query().Get("region")
	return region != "" && region != f.region
}

// waitsLong reports whether an answer to the request may take as long as it likes.
func (f *Failover) waitsLong(r *http.Request) bool {
	return f.elsewhere(r) || r.URL.Query().Get("index") != "" || strings.HasPrefix(r.URL.Path, "/v1/event/") || strings.HasPrefix(r.URL.Path, "/v1/client/")
}

// saysNoLeader looks at the beginning of an answer, and leaves it as it was.
func saysNoLeader(res *http.Response) bool {
	const most = 1 << 10
	begin, err := io.ReadAll(io.LimitReader(res.Body, most))
	rest := io.Reader(res.Body)
	if err != nil {
		rest = failing{err}
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), rest), res.Body}
	return bytes.Contains(begin, []byte("No cluster leader"))
}

// failing is a reader of an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// leave has requests go to the next address, unless another one saw to that, and returns the one to use.
func (f *Failover) leave(ctx context.Context, at int64, err error) int64 {
	next := (at + 1) % int64(len(f.addresses))
	if next != at && f.current.CompareAndSwap(at, next) {
		f.log.WarnContext(ctx, "Nomad does not serve at its address, another one is used", "address", f.addresses[at].Host, "next", f.addresses[next].Host, "err", err)
	}
	if now := f.current.Load(); now != at {
		return now
	}
	return next
}

// rewound returns the request with its body from the beginning.
func rewound(r *http.Request) (*http.Request, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	if r.GetBody == nil {
		return nil, errors.New("nomad: the address does not serve, and the request cannot be sent again")
	}
	body, err := r.GetBody()
	again := *r
	again.Body = body
	return &again, err
}

// Addresses lists the addresses, the one in use first.
func (f *Failover) Addresses() []string {
	at := int(f.current.Load())
	var all []string
	for _, u := range slices.Concat(f.addresses[at:], f.addresses[:at]) {
		all = append(all, u.String())
	}
	return all
}
