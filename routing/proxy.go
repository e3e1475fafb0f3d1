package routing

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// statusClientGone is what a request ends with when its client left before the answer. Nobody sees it but the metrics.
const statusClientGone = 499

// TableReader hands out the current table; *[Router] is one.
type TableReader interface {
	Table() *Table
}

// Options are what a [Proxy] is made of.
type Options struct {
	// Router says which path goes where. Required.
	Router TableReader
	// Fallback serves every path that has no route. Required.
	Fallback http.Handler
	// ErrorHandler renders what the proxy cannot forward: 503 when the server refuses, resets or does not answer, 400 when the request's
	// body is broken, 405 for CONNECT. It is not called for websockets, whose failure is an empty 503, or when the client has left.
	// nil: one plain sentence.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, status int, err error)
	// Transport is the pattern for connections to servers. Its dialer is only ever asked for an address of the current table.
	// It is cloned. nil: a tuned one.
	Transport *http.Transport
	// TrustForwarded tells whether the sender of the request may say where it came from (X-Forwarded-*, Forwarded, X-Scheme, X-Real-Ip).
	// If not, these headers begin with this proxy. nil: everybody may, as with JupyterHub's proxy.
	TrustForwarded func(r *http.Request) bool
	// PrivateCookies never reach a server, nor may one set them. A name that ends in a star stands for all that begin like it. nil: the hub's login cookies.
	PrivateCookies []string
	// Serves tells whether the host of a request is one at which the servers below a prefix are visited; others find the fallback. nil: every host is.
	Serves func(host, prefix string) bool
	// Foreign tells whether a cookie is of another server than those below a prefix, and neither reaches them nor is set by them. nil: none is.
	Foreign    func(prefix, cookie string) bool
	Logger     *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
}

// Proxy forwards requests to servers as the table says. On the way of a request there is one atomic load and no lock.
type Proxy struct {
	router         TableReader
	fallback       http.Handler
	renderError    func(http.ResponseWriter, *http.Request, int, error)
	trustForwarded func(*http.Request) bool
	private        privateCookies
	serves         func(host, prefix string) bool // nil: every host
	log            *slog.Logger
	complaints     complaints
	metrics        *proxyMetrics
	transport      *http.Transport
	reverse        *httputil.ReverseProxy
	buffers        *copyBuffers
	upgrades       *httputil.ReverseProxy // for requests that ask for a websocket
	activity       activities

	closing context.Context // ended by Close
	end     context.CancelFunc
	tunnels tunnels
}

// NewProxy makes a proxy. Close it to end the websockets.
func NewProxy(o Options) (*Proxy, error) {
	if o.Router == nil || o.Fallback == nil {
		return nil, errors.New("routing: a proxy needs a router and a fallback")
	}
	metrics, err := newProxyMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		router: o.Router, fallback: o.Fallback, renderError: o.ErrorHandler, trustForwarded: o.TrustForwarded,
		private: newPrivateCookies(o), serves: o.Serves, log: orDefault(o.Logger), metrics: metrics, buffers: &copyBuffers{},
	}
	if p.renderError == nil {
		p.renderError = plainError
	}
	if p.trustForwarded == nil {
		p.trustForwarded = func(*http.Request) bool { return true }
	}
	p.closing, p.end = context.WithCancel(context.Background())
	p.transport = p.newTransport(o.Transport)
	p.reverse = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.transport,
		FlushInterval:  -1, // what a server has written is for the reader, not for a buffer of ours
		BufferPool:     p.buffers,
		ModifyResponse: p.modifyResponse,
		ErrorHandler:   p.forwardFailed,
		ErrorLog:       slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	p.upgrades = p.newUpgrades()
	return p, nil
}

// call is one request on its way to a server.
type call struct {
	entry    *entry
	activity *stamp
	upgrade  bool
	use      bool        // it counts as use if it ends well
	room     bool        // it is a websocket of a document that several people edit
	body     *clientBody // nil: none
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// ServeHTTP forwards the request to the server that owns its path, or hands it to the fallback.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := p.router.Table().find(r.URL.EscapedPath())
	if e == nil || p.serves != nil && !p.serves(r.Host, e.Prefix) {
		p.fallback.ServeHTTP(w, r)
		return
	}
	if r.Method == http.MethodConnect {
		// A server would take what follows as a tunnel, and the next request on the pooled connection as its content.
		p.renderError(w, r, http.StatusMethodNotAllowed, errors.New("CONNECT is not forwarded"))
		return
	}
	c := &call{entry: e, activity: p.activity.of(e.Server), upgrade: isWebSocket(r), use: e.isUse(r)}
	ctx := context.WithValue(r.Context(), callKey{}, c)
	if c.upgrade {
		c.room = strings.HasPrefix(strings.TrimPrefix(r.URL.Path, e.Prefix), room)
		p.serveUpgrade(w, r.WithContext(ctx), c)
		return
	}
	r = r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		c.body = &clientBody{ReadCloser: r.Body, activity: c.activity}
		r.Body = c.body
		// Without this net/http would swallow the rest of the request before it sends the first byte of the answer, and a server
		// that answers while it reads would wait for ever. HTTP/2 needs and knows no such thing.
		_ = http.NewResponseController(w).EnableFullDuplex()
	}
	p.serveRequest(w, r, c)
}

func (p *Proxy) serveRequest(w http.ResponseWriter, r *http.Request, c *call) {
	rec := &recorder{ResponseWriter: w}
	p.metrics.active.Inc()
	finished := false
	defer func() { // also when a broken answer makes ReverseProxy panic with http.ErrAbortHandler
		p.metrics.active.Dec()
		p.metrics.requests.WithLabelValues(statusClass(rec.status)).Inc()
		switch well := finished && rec.status < http.StatusMultipleChoices; {
		case c.use && (well || finished && rec.status == http.StatusNotModified):
			c.activity.use()
		case well:
			c.activity.now()
		}
	}()
	p.reverse.ServeHTTP(rec, r)
	finished = true
}

// forwardFailed is called by ReverseProxy when there is no answer to forward.
func (p *Proxy) forwardFailed(w http.ResponseWriter, r *http.Request, err error) {
	c := callOf(r.Context())
	status := http.StatusServiceUnavailable
	switch {
	case r.Context().Err() != nil && p.closing.Err() == nil:
		w.WriteHeader(statusClientGone)
		return
	case c.body != nil && c.body.broken():
		status = http.StatusBadRequest
	default:
		if unlogged, due := p.complaints.due(c.entry.Server+"/"+c.entry.Instance, time.Now()); due {
			p.log.Warn("server could not be reached", "server_id", c.entry.Server, "instance", c.entry.Instance, "address", c.entry.Address, "err", err, "unlogged_before", unlogged)
		}
	}
	if c.upgrade {
		emptyError(w, status)
		return
	}
	p.renderError(w, r, status, err)
}

// emptyError is what a websocket client gets: it could not show a page anyway, and the connection has no further use.
func emptyError(w http.ResponseWriter, status int) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
}

func plainError(w http.ResponseWriter, _ *http.Request, status int, _ error) {
	message := "The server behind this address does not answer. It may be stopped, or on its way up."
	if status < http.StatusInternalServerError {
		message = "This request cannot be forwarded: " + strings.ToLower(http.StatusText(status)) + "."
	}
	http.Error(w, message, status)
}

// Close ends all websockets, waits until they have ended, and refuses new ones. A websocket outlives its request's context, so nothing but Close
// ends one from our side. Other requests are the http.Server's to end, before.
func (p *Proxy) Close() {
	p.end()
	p.tunnels.end()
	p.transport.CloseIdleConnections()
}

// copyBuffers lends the buffers through which bodies flow.
type copyBuffers struct{ pool sync.Pool }

const copyBufferSize = 32 << 10

func (b *copyBuffers) Get() []byte {
	if buf, ok := b.pool.Get().(*[copyBufferSize]byte); ok {
		return buf[:]
	}
	return make([]byte, copyBufferSize)
}

func (b *copyBuffers) Put(buf []byte) { b.pool.Put((*[copyBufferSize]byte)(buf)) }
