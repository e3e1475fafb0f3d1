package routing_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nomadhub/nomadhub/routing"
)

func target(t *testing.T, h http.HandlerFunc) routing.Route {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return routing.Route{Prefix: "/user/a/", Address: s.Listener.Addr().String(), Server: "a", Generation: 1, Instance: "i", Placement: 1}
}

func fetch(t *testing.T, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestUntrustedForwardedHeadersBeginWithTheProxy(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	route := target(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header })
	_, url := serve(t, routing.Options{Router: newTables(route), TrustForwarded: func(*http.Request) bool { return false }})
	fetch(t, url+"/user/a/", http.Header{
		"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Host": {"evil.example"},
		"Forwarded": {"for=6.6.6.6"}, "X-Scheme": {"https"}, "X-Real-Ip": {"6.6.6.6"},
	})
	h := <-got
	if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Proto") != "http" || strings.Contains(h.Get("X-Forwarded-Host"), "evil") ||
		h.Get("X-Forwarded-Port") == "1" || h.Get("Forwarded")+h.Get("X-Scheme")+h.Get("X-Real-Ip") != "" {
		t.Errorf("the server got %v", h)
	}
}

func TestErrorHandlerRendersFailures(t *testing.T) {
	t.Parallel()
	_, url := serve(t, routing.Options{
		Router: newTables(routing.Route{Prefix: "/user/a/", Address: "127.0.0.1:1", Server: "a"}),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, status int, err error) {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "%s %d %v", r.URL.Path, status, err != nil)
		},
	})
	if res, body := fetch(t, url+"/user/a/lab", nil); res.StatusCode != http.StatusServiceUnavailable || body != "/user/a/lab 503 true" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
}

// TestF16TheDialerObeysTheTable changes the table between a lookup and its dial, and while a dial is under way.
func TestF16TheDialerObeysTheTable(t *testing.T) {
	t.Parallel()
	route := target(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") })
	other := route
	other.Server, other.Placement = "b", 2
	for name, during := range map[string]bool{"before the dial": false, "during the dial": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			current := newTables(route)
			asked := 0
			swapping := readerFunc(func() *routing.Table {
				asked++
				if !during && asked == 2 { // the first one is the lookup
					current.set(other)
				}
				return current.Table()
			})
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if !during {
					t.Errorf("dialled %s for a route that is gone", address)
				}
				current.set(other)
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}}
			_, url := serve(t, routing.Options{Router: swapping, Transport: transport})
			if res, body := fetch(t, url+"/user/a/", nil); res.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("%d %q, want 503", res.StatusCode, body)
			}
		})
	}
}

type readerFunc func() *routing.Table

func (f readerFunc) Table() *routing.Table { return f() }

func TestClientThatLeavesIsNotLogged(t *testing.T) {
	t.Parallel()
	asked, reg, log := make(chan struct{}), prometheus.NewRegistry(), &syncBuffer{}
	route := target(t, func(_ http.ResponseWriter, r *http.Request) { close(asked); <-r.Context().Done() })
	_, url := serve(t, routing.Options{Router: newTables(route), Registerer: reg, Logger: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/user/a/", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-asked; cancel() }()
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
		t.Fatal("the request ended well")
	}
	waitFor(t, func() bool { return metric(t, reg, `nomadhub_proxy_requests_total{code="canceled"} 1`) })
	if log.String() != "" {
		t.Errorf("logged: %s", log.String())
	}
}

// A browser that is left open at a server that died asks for ever. Each is answered, and the log says it once.
func TestServerThatIsAwayIsLoggedOnce(t *testing.T) {
	t.Parallel()
	route := target(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	log := &syncBuffer{}
	_, url := serve(t, routing.Options{Router: newTables(route), Logger: slog.New(slog.NewTextHandler(log, nil))})
	for range 5 {
		if res, _ := fetch(t, url+"/user/a/", nil); res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d", res.StatusCode)
		}
	}
	if n := strings.Count(log.String(), "could not be reached"); n != 1 {
		t.Errorf("logged %d times: %s", n, log.String())
	}
}

func TestBrokenRequestBodyIsTheClientsFault(t *testing.T) {
	t.Parallel()
	route := target(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	log := &syncBuffer{}
	_, url := serve(t, routing.Options{Router: newTables(route), Logger: slog.New(slog.NewTextHandler(log, nil))})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "POST /user/a/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusBadRequest || strings.Contains(log.String(), "could not be reached") {
		t.Errorf("status %d, log %q; want 400 and no word about the server", res.StatusCode, log.String())
	}
}

func TestProxyMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	hold, asked := make(chan struct{}), make(chan struct{})
	route := target(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/user/a/hold" {
			close(asked)
			<-hold
		}
		w.WriteHeader(http.StatusNotFound)
	})
	_, url := serve(t, routing.Options{Router: newTables(route), Registerer: reg})
	var wg sync.WaitGroup
	wg.Go(func() { fetch(t, url+"/user/a/hold", nil) })
	<-asked
	if !metric(t, reg, "nomadhub_proxy_active_requests 1") {
		t.Error("the request is not counted as active")
	}
	close(hold)
	wg.Wait()
	fetch(t, url+"/hub/", nil) // the fallback's own business
	waitFor(t, func() bool {
		return metric(t, reg, `nomadhub_proxy_requests_total{code="4xx"} 1`) && metric(t, reg, "nomadhub_proxy_active_requests 0")
	})
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestNewProxyRefuses(t *testing.T) {
	t.Parallel()
	if _, err := routing.NewProxy(routing.Options{Router: newTables()}); err == nil {
		t.Error("a proxy without a fallback was made")
	}
	if _, err := routing.NewProxy(routing.Options{Fallback: http.NotFoundHandler()}); err == nil {
		t.Error("a proxy without a router was made")
	}
	reg := prometheus.NewRegistry()
	options := routing.Options{Router: newTables(), Fallback: http.NotFoundHandler(), Registerer: reg}
	if _, err := routing.NewProxy(options); err != nil {
		t.Fatal(err)
	}
	if _, err := routing.NewProxy(options); err == nil {
		t.Error("metrics that exist twice were not reported")
	}
}

// metric tells whether the registry exposes this line.
func metric(t *testing.T, reg *prometheus.Registry, line string) bool {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			labels := ""
			for _, l := range m.GetLabel() {
				labels = fmt.Sprintf("{%s=%q}", l.GetName(), l.GetValue())
			}
			if value := m.GetCounter().GetValue() + m.GetGauge().GetValue(); fmt.Sprintf("%s%s %v", family.GetName(), labels, value) == line {
				return true
			}
		}
	}
	return false
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(60 * time.Second); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the condition never held")
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
