// Command pyenv prepares Python environments with stock Jupyter software and prints the folder with the programs of each. It also fetches JupyterHub's own description
// of its REST API, of the same version, and prints where that is.
//
//	go run ./internal/cmd/pyenv hub5 hub5-api
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/nomadhub/nomadhub/e2e/python"
	"github.com/nomadhub/nomadhub/internal/pyenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pyenv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return errors.New("usage: pyenv NAME..., where NAME is one of " + strings.Join(append(python.Names(), pyenv.APIDocument), ", "))
	}
	for _, name := range names {
		if name == pyenv.APIDocument {
			file, err := pyenv.EnsureAPIDocument(ctx, pyenv.Options{Log: os.Stderr})
			if err != nil {
				return err
			}
			fmt.Println(file)
			continue
		}
		env, err := pyenv.Ensure(ctx, pyenv.Options{Name: name, Log: os.Stderr})
		if err != nil {
			return err
		}
		fmt.Println(env.Bin())
	}
	return nil
}
