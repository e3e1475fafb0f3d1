package httpd

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/nomadhub/nomadhub/hub"
)

// exchange is the context of a request that the hub answers itself. What is found out about the request on its way is kept in this one context: each further one would need
// another copy of the request.
type exchange struct {
	context.Context //nolint:containedctx // it is a context, for as long as its request

	id       string
	route    *chi.Context // made early, so that the pattern can be read when the router has found it
	clientIP addressFinder

	principal hub.Principal // who makes the request
	known     bool          // that it is known who does
	learnt    []fact
	few       [4]fact // the room for the first of them
}

type fact struct{ key, value any }

// idleRoutes are those of requests that are over, which is when the router is done with them, as with its own.
var idleRoutes = sync.Pool{New: func() any { return chi.NewRouteContext() }}

// Value implements [context.Context].
func (x *exchange) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return x
	case chi.RouteCtxKey:
		return x.route
	case middleware.RequestIDKey:
		return x.id
	case principalKey{}:
		if x.known {
			return &x.principal
		}
	}
	for _, f := range slices.Backward(x.learnt) {
		if f.key == key {
			return f.value
		}
	}
	return x.Context.Value(key)
}

type exchangeKey struct{}

func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}

// With returns the request with a value in its context, as [context.WithValue] would. Whoever handled the request before may see the value, too.
func With(r *http.Request, key, value any) *http.Request {
	if x, ok := r.Context().(*exchange); ok {
		if x.learnt == nil {
			x.learnt = x.few[:0]
		}
		x.learnt = append(x.learnt, fact{key, value})
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), key, value))
}

// addressFinder tells the address of whoever made a request; the zero Addr if nobody can tell.
type addressFinder func(r *http.Request) netip.Addr

// ClientIP is the address of whoever made the request, as trusted proxies tell and never as the client claims; the zero Addr if nobody can tell.
func ClientIP(r *http.Request) netip.Addr {
	if x := exchangeOf(r); x != nil {
		return x.clientIP(r)
	}
	return peer(r)
}

// peer is the address at the other end of the connection.
func peer(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // of a Unix socket it is none
	return at.Addr().Unmap()
}

// behind finds the address that trusted proxies tell.
func behind(trusted []string) addressFinder {
	find := middleware.ClientIPFromXFF(trusted...)
	return func(r *http.Request) (ip netip.Addr) {
		find(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ip = middleware.GetClientIPAddr(r.Context()) })).ServeHTTP(nil, r)
		return ip
	}
}

// ClientIPText is [ClientIP] in words, "" if nobody can tell.
func ClientIPText(r *http.Request) string {
	if ip := ClientIP(r); ip.IsValid() {
		return ip.String()
	}
	return ""
}
