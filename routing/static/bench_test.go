package static_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/nomadhub/nomadhub/routing"
	"github.com/nomadhub/nomadhub/routing/routingtest"
	"github.com/nomadhub/nomadhub/routing/static"
)

// BenchmarkPublish is one server placed anew among so many, from the publisher to whoever waits for its route, while all others wait for
// a route as well.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			registry := static.New()
			bindings := make([]routing.Binding, n)
			for i := range bindings {
				bindings[i] = routingtest.NewBinding(fmt.Sprint("s", i), 1)
				bindings[i].Address = fmt.Sprintf("10.%d.%d.%d:20000", i>>16, i>>8&255, i&255)
				if err := registry.Publish(ctx, bindings[i]); err != nil {
					b.Fatal(err)
				}
			}
			r, err := routing.NewRouter(routing.RouterOptions{
				Sources: []routing.NamedSource{{Name: "static", Source: registry}}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			done := make(chan error, 1+n)
			go func() { done <- r.Run(ctx) }()
			if err := r.WaitReady(ctx); err != nil {
				b.Fatal(err)
			}
			for i := range n {
				go func() { _ = r.AwaitRoute(ctx, fmt.Sprint("never-", i), 1, ""); done <- nil }()
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i = (i + 7919) % n {
				v := &bindings[i]
				v.Generation++
				if err := registry.Publish(ctx, *v); err != nil {
					b.Fatal(err)
				}
				if err := r.AwaitRoute(ctx, v.Server, v.Generation, ""); err != nil {
					b.Fatal(err)
				}
			}
			cancel()
			for range 1 + n {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
