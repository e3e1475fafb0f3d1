package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Listener is one address and what answers there.
type Listener struct {
	Name    string // for the log: "public"
	Address string // host:port; port 0 takes a free one
	Handler http.Handler
}

// Bound is a listener that has its port.
type Bound struct {
	Listener
	Socket net.Listener
}

// URL is where the listener is reached from this machine.
func (b Bound) URL() string { return "http://" + b.Socket.Addr().String() }

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Bind takes the ports, all or none.
func Bind(ctx context.Context, listeners ...Listener) ([]Bound, error) {
	var bound []Bound
	for _, l := range listeners {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", l.Address)
		if err != nil {
			for _, b := range bound {
				_ = b.Socket.Close()
			}
			return nil, fmt.Errorf("the %s address %s cannot be listened on; is another hub running, or is it another machine's? %w", l.Name, l.Address, err)
		}
		bound = append(bound, Bound{l, ln})
	}
	return bound, nil
}

// Serve answers on the listeners until ctx ends, then lets requests under way finish for at most drain, and closes what is left, websockets included.
func Serve(ctx context.Context, log *slog.Logger, drain time.Duration, bound ...Bound) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, b := range bound {
		g.Go(func() error { return b.serve(gctx, log, drain) })
	}
	return g.Wait()
}

// serve answers on one listener. Its requests have a context of their own, so that they are cut when their own time is over and not another listener's.
func (b Bound) serve(ctx context.Context, log *slog.Logger, drain time.Duration) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler: b.Handler, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return base },
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(b.Socket); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("the %s listener ended: %w", b.Name, err)
		}
		return nil
	})
	g.Go(func() error {
		<-gctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(gctx), drain)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			log.Info("requests still under way are cut", "listener", b.Name)
		}
		cut()
		return srv.Close()
	})
	return g.Wait()
}
