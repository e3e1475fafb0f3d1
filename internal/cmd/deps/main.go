// Command deps makes sure that a program which the tests need is on this machine, and prints its path.
//
//	go run ./internal/cmd/deps chromium
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/nomadhub/nomadhub/internal/deps"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 || args[0] != "chromium" {
		return fmt.Errorf("usage: deps chromium")
	}
	path, err := deps.EnsureChromium(ctx, os.Stderr)
	if err != nil {
		return err
	}
	_, err = fmt.Println(path)
	return err
}
