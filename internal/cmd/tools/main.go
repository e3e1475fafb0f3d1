// Command tools makes the server programs of the real stack ready (Nomad, Consul, Vault, dex) and what beside them the tests run, and prints where they are. What is
// not on PATH it builds once, as Go tools; see package stack.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/nomadhub/nomadhub/internal/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	for _, name := range stack.ToolNames() {
		path, err := stack.Binary(ctx, name)
		if err != nil {
			return err
		}
		fmt.Printf("%-15s %s\n", name, path)
	}
	return nil
}
