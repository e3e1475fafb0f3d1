package routing

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
)

// maxUpgradeHead bounds the head of a server's answer to an upgrade. Users run what they like behind it.
const maxUpgradeHead = 256 << 10

var errNoWebSocket = errors.New("routing: the server switched to something that is not a websocket")

// newUpgrades makes the road of websockets. It is the same as that of other requests, so that both treat headers alike, up to the
// moment at which the server agrees: from there on the connections are carried by a tunnel, which costs a sixth of the memory.
func (p *Proxy) newUpgrades() *httputil.ReverseProxy {
	upgrades := *p.reverse
	upgrades.Transport = roundTripFunc(p.handshake)
	upgrades.ModifyResponse = func(res *http.Response) error {
		if err := p.modifyResponse(res); err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			return err
		}
		server, _ := res.Body.(*serverConn)
		res.Body = http.NoBody               // it gets closed with any error
		return &switched{res.Header, server} // an error, because that is how to take an answer out of ReverseProxy's hands
	}
	upgrades.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		if agreed, ok := errors.AsType[*switched](err); ok {
			err = p.switchProtocols(w, callOf(r.Context()), agreed)
		}
		if err != nil {
			p.forwardFailed(w, r, err)
		}
	}
	return &upgrades
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// switched is the answer of a server that agreed to an upgrade.
type switched struct {
	header http.Header
	server *serverConn
}

func (*switched) Error() string { return "routing: protocol switched" }

// serveUpgrade returns as soon as the tunnel stands, so that nothing of the request is kept for as long as the websocket lives.
func (p *Proxy) serveUpgrade(w http.ResponseWriter, r *http.Request, c *call) {
	if p.closing.Err() != nil {
		emptyError(w, http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.closing, cancel)()
	rec := &recorder{ResponseWriter: w}
	defer func() { p.metrics.requests.WithLabelValues(statusClass(rec.status)).Inc() }()
	p.upgrades.ServeHTTP(rec, r.WithContext(ctx))
}

// serverConn is a connection to a server of which the head of the answer has been read.
type serverConn struct {
	io.Reader // what follows the head
	conn      net.Conn
	buffered  *bufio.Reader
	release   func() bool // the request's end no longer ends the connection
}

func (s *serverConn) Close() error {
	s.release()
	return s.conn.Close()
}

// handshake sends the request on a connection of its own and reads the head of the answer. The connection is never pooled.
func (p *Proxy) handshake(req *http.Request) (*http.Response, error) {
	conn, err := p.transport.DialContext(req.Context(), "tcp", req.URL.Host)
	if err != nil {
		return nil, err
	}
	s := &serverConn{conn: conn, release: context.AfterFunc(req.Context(), func() { _ = conn.Close() })}
	res, err := s.exchange(req)
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("ask server for a websocket: %w", err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		s.Reader = res.Body
	}
	res.Body = s
	return res, nil
}

func (s *serverConn) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(s.conn); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: s.conn, N: maxUpgradeHead}
	s.buffered = bufio.NewReader(head)
	for {
		res, err := http.ReadResponse(s.buffered, req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue // informational
		}
		head.N = math.MaxInt64
		return res, nil
	}
}

// switchProtocols takes the client's connection over, answers it, and starts the tunnel.
func (p *Proxy) switchProtocols(w http.ResponseWriter, c *call, agreed *switched) error {
	s := agreed.server
	if !strings.EqualFold(agreed.header.Get("Upgrade"), "websocket") {
		_ = s.Close()
		return errNoWebSocket
	}
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = s.Close()
		return fmt.Errorf("take over the client's connection: %w", err)
	}
	if rec, ok := w.(*recorder); ok {
		rec.status = http.StatusSwitchingProtocols
	}
	t := &tunnel{client: client, server: s.conn, buffers: p.buffers}
	t.sent, t.got = watcher{stamp: c.activity, client: true}, watcher{stamp: c.activity}
	t.sent.frames.room = c.room
	if err := answer(rw, w.Header(), agreed.header, s.buffered, &t.got); err != nil {
		t.close()
		return nil //nolint:nilerr // the client has gone, and there is no response to write to any more
	}
	// A client may not send before it has the answer; one that did is not cut off.
	if err := flushEarly(s.conn, rw.Reader, &t.sent); err != nil || !s.release() {
		t.close()
		return nil //nolint:nilerr // likewise
	}
	p.metrics.upgraded.Inc()
	if !p.tunnels.start(t, p.metrics.upgraded.Dec) {
		p.metrics.upgraded.Dec()
		t.close()
	}
	return nil
}

// answer writes the head of the answer, and what the server has sent after it.
func answer(rw *bufio.ReadWriter, ours, theirs http.Header, server *bufio.Reader, got *watcher) error {
	head := ours.Clone()
	if head == nil {
		head = make(http.Header)
	}
	for name, values := range theirs {
		head[name] = append(head[name], values...)
	}
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = head.Write(rw)
	_, _ = rw.WriteString("\r\n")
	early, _ := server.Peek(server.Buffered())
	got.saw(early)
	_, _ = rw.Write(early)
	return rw.Flush() // a bufio.Writer keeps the first error
}

func flushEarly(server net.Conn, client *bufio.Reader, sent *watcher) error {
	early, _ := client.Peek(client.Buffered())
	if len(early) == 0 {
		return nil
	}
	sent.saw(early)
	_, err := server.Write(early)
	return err
}
