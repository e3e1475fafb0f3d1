package routingtest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// testServerSentEvents holds that an event reaches the browser before the server writes the next one.
func testServerSentEvents(t *testing.T, start StartProxy) {
	for name, header := range map[string]http.Header{
		"event stream":   {"Content-Type": {"text/event-stream"}},
		"chunked":        {"Content-Type": {"application/json"}},
		"content length": {"Content-Length": {"27"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, next := start(t, hub()), make(chan int)
			p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				maps.Copy(w.Header(), header)
				for {
					select {
					case i, more := <-next:
						if !more {
							return
						}
						_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
						_ = http.NewResponseController(w).Flush()
					case <-r.Context().Done():
						return
					}
				}
			})))
			go func() { next <- 0 }()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+"/user/a/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			lines := bufio.NewScanner(res.Body)
			for i := range 3 {
				if i > 0 {
					next <- i
				}
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) || !lines.Scan() {
					t.Fatalf("event %d arrived as %q: %v", i, lines.Text(), lines.Err())
				}
			}
			close(next)
		})
	}
}

const large = 64 << 20

// pattern is an endless stream in which no two blocks are equal.
type pattern struct{ i uint32 }

func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		p.i = p.i*1664525 + 1013904223
		b[i] = byte(p.i >> 24)
	}
	return len(b), nil
}

func digest(r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

func largeStream() io.Reader { return io.LimitReader(&pattern{}, large) }

func testLargeDownload(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, largeStream()) })))
	res, _ := raw(t, p, requestLine("GET", "/user/a/files/big"))
	got, n, err := digest(res.Body)
	want, _, _ := digest(largeStream())
	if err != nil || got != want {
		t.Errorf("%d of %d bytes arrived, %v", n, large, err)
	}
}

func testLargeUpload(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum, _, err := digest(r.Body)
		_, _ = fmt.Fprint(w, sum, err)
	})))
	want, _, _ := digest(largeStream())
	for name, length := range map[string]int64{"with length": large, "chunked": -1} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL+"/user/a/api/contents/big", largeStream())
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		if status, body := do(t, req); status != http.StatusOK || body != want+"<nil>" {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// testFullDuplex has a server that answers while it is still being asked.
func testFullDuplex(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = rc.Flush()
		buf := make([]byte, 16)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = rc.Flush()
			if err != nil {
				return
			}
		}
	})))
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/user/a/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	got := make([]byte, 4)
	for range 10 {
		if _, err := send.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != "ping" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = send.Close()
}

// testClientDisconnect holds that a server hears of it when the browser has gone, however the request ends.
func testClientDisconnect(t *testing.T, start StartProxy) {
	var began, ended atomic.Int32
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began.Add(1)
		if r.URL.Query().Has("answering") {
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
		ended.Add(1)
	})))
	for i, query := range []string{"", "?answering"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/user/a/slow"+query, nil)
			if err == nil {
				var res *http.Response
				if res, err = http.DefaultClient.Do(req); err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
			done <- err
		}()
		eventually(t, "the server was asked", func() bool { return began.Load() == int32(i+1) })
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the request ended with %v", err)
		}
		eventually(t, "the server heard that the client has gone", func() bool { return ended.Load() == int32(i+1) })
	}
}

func testTargetRefuses(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(routeTo("/user/a/", freeAddress(t)))
	if status, body := get(t, t.Context(), p.URL+"/user/a/lab"); status != http.StatusServiceUnavailable || body == "" {
		t.Errorf("status %d %q, want 503 and a sentence", status, body)
	}
}

func testTargetResets(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	if status, _ := get(t, t.Context(), p.URL+"/user/a/lab"); status != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", status)
	}
}

// testTargetBreaksOff holds that half an answer is never taken for a whole one.
func testTargetBreaksOff(t *testing.T, start StartProxy) {
	p := start(t, hub())
	p.SetRoutes(backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})))
	res, _ := raw(t, p, requestLine("GET", "/user/a/x"))
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("the client took %q for the whole answer", body)
	}
}

// freeAddress is an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func testActivity(t *testing.T, start StartProxy) {
	p := start(t, hub())
	route := backend(t, "/user/a/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fail") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	p.SetRoutes(route)
	active := func() bool {
		for _, a := range p.Activity() {
			if a.Server == route.Server && !a.Last.IsZero() {
				return true
			}
		}
		return false
	}
	if active() {
		t.Error("active before the first request")
	}
	get(t, t.Context(), p.URL+"/user/a/")
	eventually(t, "a request that ended well counts", active)
	if active() {
		t.Error("the same activity was told twice")
	}
	get(t, t.Context(), p.URL+"/user/a/?fail")
	get(t, t.Context(), p.URL+"/hub/home")
	if active() {
		t.Error("a request that failed counts as activity")
	}
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/user/a/?fail", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = send.Write([]byte("x")); _ = send.Close() }()
	do(t, req)
	eventually(t, "what the client sends counts", active)
	testUse(t, p)
}

// testUse tells what somebody does from what pages ask by themselves.
func testUse(t *testing.T, p Proxy) {
	t.Helper()
	for _, c := range []struct {
		method, path string
		use          bool
	}{
		{http.MethodGet, "/user/a/lab", true},
		{http.MethodGet, "/user/a/files/x.csv", true},
		{http.MethodPost, "/user/a/api/sessions", true},
		{http.MethodPut, "/user/a/api/contents/x.ipynb", true},
		{http.MethodGet, "/user/a/proxy/8501/api/x", true}, // another program's
		{http.MethodGet, "/user/a/api/kernels?1700000000", false},
		{http.MethodGet, "/user/a/api/contents/?content=1", false},
		{http.MethodGet, "/user/a/lab/api/settings", false},
		{http.MethodGet, "/user/a/%61pi/status", false},
		{http.MethodGet, "/user/a/tree?no_track_activity=1", false},
		{http.MethodPost, "/user/a/api/sessions?fail", false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, p.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Activity()
		do(t, req)
		used, seen := false, false
		look := func() bool {
			for _, a := range p.Activity() {
				used, seen = used || !a.Used.IsZero(), seen || !a.Last.IsZero()
			}
			return seen
		}
		if strings.Contains(c.path, "fail") {
			look()
		} else {
			eventually(t, "the request is seen", look)
		}
		if used != c.use {
			t.Errorf("%s %s counts as use: %v", c.method, c.path, used)
		}
	}
}
