package main

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// notebook is the subcommand that stands in for a notebook server: it needs so long to boot, and then answers everything.
func notebook(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("notebook", flag.ContinueOnError)
	boot := flags.Duration("boot", 100*time.Millisecond, "time between the start and the first answer")
	told := flags.String("told", "", "folder in which to write when the first answer could be had; default: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	port := os.Getenv("NOMAD_PORT_http")
	if port == "" {
		return errors.New("NOMAD_PORT_http is not set: this runs as a task of Nomad")
	}
	if !pause(ctx, *boot) {
		return nil
	}
	return answer(ctx, net.JoinHostPort("127.0.0.1", port), func() error { return boots(*told).say(os.Getenv("NOMAD_ALLOC_ID")) })
}

// notebooks is the subcommand that answers at a whole range of ports, for jobs of a driver that runs nothing.
func notebooks(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("notebooks", flag.ContinueOnError)
	first := flags.Int("first", firstPort, "first port")
	last := flags.Int("last", lastPort, "last port")
	if err := flags.Parse(args); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for port := *first; port <= *last; port++ {
		g.Go(func() error { return answer(ctx, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil) })
	}
	return g.Wait()
}

// answer serves until ctx ends, and calls listening, if there is one, as soon as it can be reached. The body is the address, so that a request which reached the wrong server is noticed.
func answer(ctx context.Context, address string, listening func() error) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	if listening != nil {
		if err := listening(); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	s := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-JupyterHub-Version", "5.5.1")
			_, _ = w.Write([]byte(address))
		}),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
