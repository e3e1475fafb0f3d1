// Package routingtest holds the suites that every source, publisher and proxy of routing has to pass.
package routingtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

// Proxy is a running proxy under test.
type Proxy struct {
	URL       string                    // where it listens, as http://HOST:PORT
	SetRoutes func(...routing.Route)    // replaces the table; returns when it is in use
	Activity  func() []routing.Activity // what it saw since the last call
	Close     func()                    // ends upgraded connections; may be called more than once
}

// StartProxy starts a proxy whose unrouted paths go to fallback, and ends it with the test.
type StartProxy func(t *testing.T, fallback http.Handler) Proxy

// TestProxy runs the suite for proxies.
func TestProxy(t *testing.T, start StartProxy) {
	for name, test := range map[string]func(*testing.T, StartProxy){
		"Forward":               testForward,
		"LongestPrefix":         testLongestPrefix,
		"OddPaths":              testOddPaths,
		"ForwardedHeaders":      testForwardedHeaders,
		"ForgedHeaders":         testForgedHeaders,
		"PrivateCookies":        testPrivateCookies,
		"NoUpgradeButWebsocket": testNoOtherUpgrade,
		"Connect":               testConnect,
		"WebSocket":             testWebSocket,
		"WebSocketIdle":         testWebSocketIdle,
		"WebSocketRefused":      testWebSocketRefused,
		"WebSocketNoTarget":     testWebSocketNoTarget,
		"WebSocketShutdown":     testWebSocketShutdown,
		"WebSocketServerEnds":   testWebSocketServerEnds,
		"WebSocketActivity":     testWebSocketActivity,
		"ServerSentEvents":      testServerSentEvents,
		"LargeDownload":         testLargeDownload,
		"LargeUpload":           testLargeUpload,
		"FullDuplex":            testFullDuplex,
		"Trailers":              testTrailers,
		"ClientDisconnect":      testClientDisconnect,
		"TargetRefuses":         testTargetRefuses,
		"TargetResets":          testTargetResets,
		"TargetBreaksOff":       testTargetBreaksOff,
		"Activity":              testActivity,
		"F16AddressReuse":       testAddressReuse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start)
		})
	}
}

// backend starts a server and returns the route to it.
func backend(t *testing.T, prefix string, h http.Handler) routing.Route {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return routeTo(prefix, s.Listener.Addr().String())
}

func routeTo(prefix, address string) routing.Route {
	return routing.Route{Prefix: prefix, Address: address, Server: "server-of-" + prefix, Generation: 1, Instance: "run-of-" + prefix, Placement: 1}
}

// hub is a fallback that says so.
func hub() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hub "+r.RequestURI) })
}

// raw writes bytes to the proxy and reads one response. The connection ends with the test.
func raw(t *testing.T, p Proxy, request string) (*http.Response, net.Conn) {
	t.Helper()
	conn := dial(t, p)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer to %q: %v", request, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res, conn
}

func dial(t *testing.T, p Proxy) net.Conn {
	t.Helper()
	u, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// get asks the proxy and returns status and body.
func get(t *testing.T, ctx context.Context, target string) (int, string) { //nolint:revive // t first reads better here
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// eventually waits until the condition holds, or fails after ten seconds with the sentence.
func eventually(t *testing.T, sentence string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("this never became true: " + sentence)
		}
	}
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func requestLine(method, target string, headers ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: hub.example:8000\r\n%s\r\n", method, target, strings.Join(append(headers, ""), "\r\n"))
}
