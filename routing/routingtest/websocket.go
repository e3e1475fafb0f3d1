package routingtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nomadhub/nomadhub/routing"
)

const protocol = "v1.kernel.websocket.jupyter.org"

// echo is a server that sends back each message as it came.
func echo(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}, InsecureSkipVerify: true})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer func() { _ = conn.CloseNow() }()
		conn.SetReadLimit(-1)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	})
}

func openWebSocket(t *testing.T, p Proxy, path string) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(p.URL, "http")+path, &websocket.DialOptions{Subprotocols: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func roundTrip(t *testing.T, conn *websocket.Conn, kind websocket.MessageType, message []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- conn.Write(ctx, kind, message) }()
	gotKind, got, err := conn.Read(ctx)
	if err != nil || gotKind != kind || !bytes.Equal(got, message) {
		t.Fatalf("sent %v of %d bytes, got %v of %d bytes, %v", kind, len(message), gotKind, len(got), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func testWebSocket(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", echo(t)))
	conn := openWebSocket(t, p, "/user/a/api/kernels/1/channels?session_id=2&token=%20")
	if conn.Subprotocol() != protocol {
		t.Errorf("the subprotocol is %q", conn.Subprotocol())
	}
	roundTrip(t, conn, websocket.MessageText, []byte("hello"))
	roundTrip(t, conn, websocket.MessageBinary, []byte{0, 1, 2, 0xff, 0xfe})
	roundTrip(t, conn, websocket.MessageBinary, nil)
	big, err := io.ReadAll(io.LimitReader(&pattern{}, 20<<20))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, conn, websocket.MessageBinary, big)
	for range 100 {
		roundTrip(t, conn, websocket.MessageText, []byte("again"))
	}
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("the closing handshake did not get through: %v", err)
	}
}

// testWebSocketIdle waits for longer than any time limit of the server in front (see StartProxy), with a kernel that says nothing.
func testWebSocketIdle(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", echo(t)))
	conn := openWebSocket(t, p, "/user/a/terminals/1")
	for range 2 {
		<-time.After(1500 * time.Millisecond) // the passing of time is what is tested
		roundTrip(t, conn, websocket.MessageBinary, []byte("still there?"))
	}
}

// testWebSocketRefused holds that the answer of a server that wants no websocket is the server's.
func testWebSocketRefused(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-For") != "127.0.0.1" || r.Host != "hub.example:8000" || r.Header.Get("Cookie") != "a=1" {
			t.Errorf("an upgrade arrived with %v for host %s", r.Header, r.Host)
		}
		http.Error(w, "log in first", http.StatusForbidden)
	})))
	res, _ := raw(t, p, upgradeRequest("/user/a/ws", "Cookie: jupyterhub-hub-login=s; a=1"))
	if body := bodyOf(t, res); res.StatusCode != http.StatusForbidden || body != "log in first" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

func upgradeRequest(path string, headers ...string) string {
	return requestLine("GET", path, append([]string{
		"Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...)...)
}

func testWebSocketNoTarget(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(routeTo("/user/a/", freeAddress(t)))
	res, conn := raw(t, p, upgradeRequest("/user/a/ws"))
	if body := bodyOf(t, res); res.StatusCode != http.StatusServiceUnavailable || body != "" || res.ContentLength != 0 {
		t.Errorf("%d %q, want an empty 503", res.StatusCode, body)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection stays open: %v", err)
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool }) // net.Conn returns it bare
	return ok && t.Timeout()
}

func testWebSocketShutdown(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", echo(t)))
	conn := openWebSocket(t, p, "/user/a/ws")
	roundTrip(t, conn, websocket.MessageText, []byte("hello"))
	closed := make(chan struct{})
	go func() { p.Close(); close(closed) }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the websocket outlived the proxy: %v", err)
	}
	select {
	case <-closed:
	case <-ctx.Done():
		t.Error("Close does not return")
	}
	if res, _ := raw(t, p, upgradeRequest("/user/a/ws")); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a closed proxy answered an upgrade with %d", res.StatusCode)
	}
}

// testWebSocketServerEnds holds that the browser hears at once when a kernel's server dies.
func testWebSocketServerEnds(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		_, _, _ = conn.Read(r.Context())
		_ = conn.CloseNow()
	})))
	conn := openWebSocket(t, p, "/user/a/ws")
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("die")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the browser did not hear of it: %v", err)
	}
}

// testWebSocketActivity holds that only what the client sends counts.
func testWebSocketActivity(t *testing.T, start StartProxy) {
	p, say := start(t, hub()), make(chan string)
	route := backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{protocol}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer func() { _ = conn.CloseNow() }()
		ctx := conn.CloseRead(r.Context())
		for {
			select {
			case s := <-say:
				_ = conn.Write(ctx, websocket.MessageText, []byte(s))
			case <-r.Context().Done():
				return
			case <-ctx.Done():
				return
			}
		}
	}))
	p.SetRoutes(route)
	conn := openWebSocket(t, p, "/user/a/ws")
	p.Activity()
	for range 3 {
		say <- "output"
		if _, _, err := conn.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Activity(); len(got) != 1 || !got[0].Last.IsZero() || !got[0].Used.IsZero() || got[0].Output.IsZero() {
		t.Errorf("output of the server counts as %+v", got)
	}
	go func() { // a pong comes back only while somebody reads
		_, _, _ = conn.Read(t.Context())
	}()
	if err := conn.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Activity(); len(got) != 1 || got[0].Last.IsZero() || !got[0].Used.IsZero() {
		t.Errorf("a ping of the client counts as %+v", got)
	}
	before := time.Now()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte("key")); err != nil {
		t.Fatal(err)
	}
	var got []routing.Activity
	eventually(t, "what the client sends on a websocket counts", func() bool {
		got = append(got, p.Activity()...)
		return len(got) > 0
	})
	if got[0].Server != route.Server || got[0].Last.Before(before.Add(-time.Second)) || got[0].Used.Before(before.Add(-time.Second)) {
		t.Errorf("activity = %+v", got)
	}
}
