package dockerd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// New starts an engine that is stopped when the test ends. Where none can run, the test is skipped with a sentence that says why; if
// NOMADHUB_TEST_REQUIRE is 1 it fails.
func New(t testing.TB) *Engine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped because only root can start a Docker engine")
	}
	e, err := Start(t.Context())
	switch {
	case errors.Is(err, ErrUnavailable) && os.Getenv("NOMADHUB_TEST_REQUIRE") != "1":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the engine's log ends:\n%s", e.LogTail(20))
		}
		if err := e.Stop(); err != nil {
			t.Errorf("stop the Docker engine: %v", err)
		}
	})
	return e
}

// Serve starts a registry on the loopback address for the length of a test and returns where it listens, as host and port.
func Serve(t testing.TB, images ...Image) (address string) {
	t.Helper()
	registry, err := NewRegistry(t.Context(), images...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	listener := listen(t, "127.0.0.1")
	server := &http.Server{Handler: registry, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

func listen(t testing.TB, host string) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// Expose lets containers reach a port of this machine's loopback address, as they would reach a server on the machine's own address, and returns
// the address for them. It ends with the test.
func (e *Engine) Expose(t testing.TB, port int) (address string) {
	t.Helper()
	listener := listen(t, e.Gateway)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	all.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { forward(ctx, from, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

// forward carries bytes in both directions until one side closes or ctx ends.
func forward(ctx context.Context, from net.Conn, address string) {
	defer from.Close()
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return // the other side sees its connection closed, as by a server that is away
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() { _ = from.Close(); _ = to.Close() })
	defer stop()
	done := make(chan struct{}, 2)
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		done <- struct{}{}
	}
	go pipe(to, from)
	go pipe(from, to)
	<-done
}
