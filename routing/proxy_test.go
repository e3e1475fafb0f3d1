package routing_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
)

// tables is a TableReader that a test sets.
type tables struct{ atomic.Pointer[routing.Table] }

func (t *tables) Table() *routing.Table { return t.Load() }

func (t *tables) set(routes ...routing.Route) { t.Store(routing.NewTable(routes)) }

func newTables(routes ...routing.Route) *tables {
	t := &tables{}
	t.set(routes...)
	return t
}

// serve starts a proxy behind a server with time limits that a long request or an idle websocket must not run into.
func serve(t *testing.T, o routing.Options) (*routing.Proxy, string) {
	t.Helper()
	if o.Fallback == nil {
		o.Fallback = http.NotFoundHandler()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	p, err := routing.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(p)
	s.Config.ReadHeaderTimeout = time.Second
	s.Config.IdleTimeout = time.Second
	s.Start()
	t.Cleanup(func() {
		p.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return p, s.URL
}

func TestProxySuite(t *testing.T) {
	t.Parallel()
	routingtest.TestProxy(t, func(t *testing.T, fallback http.Handler) routingtest.Proxy {
		current := newTables()
		p, url := serve(t, routing.Options{Router: current, Fallback: fallback})
		return routingtest.Proxy{URL: url, SetRoutes: current.set, Activity: p.TakeActivity, Close: p.Close}
	})
}
