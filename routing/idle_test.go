package routing_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// idleTarget agrees to every websocket and then holds the connection without a goroutine, so that what is measured is the proxy's.
func idleTarget(tb testing.TB) string {
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tb.Cleanup(func() { _ = conn.Close() })
			for got := ""; !strings.HasSuffix(got, "\r\n\r\n"); {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				got += string(buf[:n])
			}
			_, _ = io.WriteString(conn, switching)
		}
	}()
	return l.Addr().String()
}

func idleProxy(tb testing.TB) (*routing.Proxy, string) {
	p, err := routing.NewProxy(routing.Options{
		Router:   newTables(routing.Route{Prefix: "/user/a/", Address: idleTarget(tb), Server: "a"}),
		Fallback: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewServer(p)
	tb.Cleanup(func() { p.Close(); s.Close() })
	return p, s.Listener.Addr().String()
}

func openIdle(tb testing.TB, address string) net.Conn {
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", address)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /user/a/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
		tb.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		tb.Fatal(res, err)
	}
	return conn
}

func descriptors(tb testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Skip("descriptors cannot be counted here:", err)
	}
	return len(entries)
}

// TestIdleWebSocketHoldsLittle counts goroutines and descriptors, of which an idle websocket may have two each in the proxy, and none
// after it has gone.
func TestIdleWebSocketHoldsLittle(t *testing.T) { // not parallel: it counts what belongs to the process
	_, address := idleProxy(t)
	openIdle(t, address).Close() // warms up
	const n = 200
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = openIdle(t, address)
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines+2*n+5 })
	if got := descriptors(t) - fds; got > 4*n+5 { // two are the test's own: the browser's end and the server's
		t.Errorf("%d websockets hold %d descriptors", n, got)
	}
	for _, conn := range conns {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset: the server behind says nothing, so after a clean end it would be waited for
		_ = conn.Close()
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 })
	waitFor(t, func() bool { return descriptors(t) <= fds+n+5 }) // the server's ends, which the test holds
}

func TestHalfClosedTunnelDeliversTheRest(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, switching+"early ")
		said, _ := io.ReadAll(r) // ends when the client has said everything
		got <- string(said)
		_, _ = io.WriteString(conn, "late")
	}()
	_, url := serve(t, routing.Options{Router: newTables(routing.Route{Prefix: "/user/a/", Address: l.Addr().String(), Server: "a"})})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	// The first word comes with the request, before the answer.
	_, _ = io.WriteString(conn, "GET /user/a/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
	r := bufio.NewReader(conn)
	if _, err := http.ReadResponse(r, nil); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "world")
	_ = conn.(*net.TCPConn).CloseWrite()
	if said := <-got; said != "hello world" {
		t.Errorf("the server got %q", said)
	}
	if rest, err := io.ReadAll(r); string(rest) != "early late" || err != nil {
		t.Errorf("the client got %q, %v", rest, err)
	}
}

func TestEndlessAnswerToAnUpgradeIsRefused(t *testing.T) {
	t.Parallel()
	route := target(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nX: ")
		for err == nil {
			_, err = io.WriteString(conn, strings.Repeat("x", 1<<16))
		}
	})
	_, url := serve(t, routing.Options{Router: newTables(route)})
	res, _ := fetch(t, url+"/user/a/", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}})
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", res.StatusCode)
	}
}

// BenchmarkIdleWebSocket reports what one idle websocket keeps in memory: in this process, so with both of its far ends.
func BenchmarkIdleWebSocket(b *testing.B) {
	const n = 2000
	for b.Loop() {
		p, address := idleProxy(b)
		openIdle(b, address).Close() // warms up
		before := memory()
		conns := make([]net.Conn, n)
		for i := range conns {
			conns[i] = openIdle(b, address)
		}
		b.ReportMetric(float64(memory()-before)/n, "B/socket")
		p.Close()
		for _, conn := range conns {
			_ = conn.Close()
		}
	}
}

func memory() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
