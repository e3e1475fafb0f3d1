package routing

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

var errClosing = errors.New("routing: the proxy is shutting down")

// tunnels waits for the upgraded connections, which net/http forgets once they are hijacked.
type tunnels struct {
	mu     sync.Mutex
	closed bool
	open   sync.WaitGroup
}

func (t *tunnels) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.open.Add(1)
	return true
}

func (t *tunnels) leave() { t.open.Done() }

func (t *tunnels) wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.open.Wait()
}

func (p *Proxy) serveUpgrade(w http.ResponseWriter, r *http.Request, c *call) {
	if !p.tunnels.enter() {
		emptyError(w, http.StatusServiceUnavailable)
		return
	}
	defer p.tunnels.leave()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(p.closing, func() { cancel(errClosing) })()

	rec := &upgradeRecorder{recorder: recorder{ResponseWriter: w}, proxy: p, activity: c.activity}
	defer rec.done()
	p.reverse.ServeHTTP(rec, r.WithContext(ctx))
}

// upgradeRecorder sees the connection being taken over, and from then on what the client sends.
type upgradeRecorder struct {
	recorder
	proxy    *Proxy
	activity *stamp
	hijacked bool
}

func (u *upgradeRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.hijacked, u.status = true, http.StatusSwitchingProtocols
	u.proxy.metrics.upgraded.Inc()
	if n := rw.Reader.Buffered(); n > 0 {
		u.activity.now()
	}
	return &stampedConn{Conn: conn, activity: u.activity}, rw, nil
}

func (u *upgradeRecorder) done() {
	if u.hijacked {
		u.proxy.metrics.upgraded.Dec()
	}
	u.proxy.metrics.requests.WithLabelValues(statusClass(u.status)).Inc()
}

// stampedConn is the client's side. What the server sends alone is no activity: a kernel that prints all night is not a person.
type stampedConn struct {
	net.Conn
	activity *stamp
}

func (s *stampedConn) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.activity.now()
	}
	return n, err
}
