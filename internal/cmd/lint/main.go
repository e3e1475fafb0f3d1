// Command lint runs golangci-lint, the version that internal/tools/golangci pins, with the arguments that it is given.
//
//	go run ./internal/cmd/lint run ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/nomadhub/nomadhub/internal/cache"
	"github.com/nomadhub/nomadhub/internal/gotool"
)

func linter() gotool.Tool {
	return gotool.Tool{
		Name: "golangci-lint", Version: "2.15.0", Package: "github.com/golangci/golangci-lint/v2/cmd/golangci-lint",
		Dir: "internal/tools/golangci", Minutes: 4,
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		os.Exit(exit.ExitCode()) // the linter has said what is wrong
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	dir, err := cache.Dir()
	if err != nil {
		return err
	}
	path, err := gotool.Builder{Cache: dir, Out: os.Stderr}.Path(ctx, linter())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
