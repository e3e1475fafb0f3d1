// Command cluster is "make cluster": real Nomad, Consul, Vault and Postgres on the loopback address, an OpenID Connect provider to
// log in with, and the hub as a Nomad job, until Ctrl-C. It makes through the APIs what terraform/modules/nomadhub makes with
// Terraform, from the same policy texts, because Terraform's providers cannot be had everywhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/nomadhub/nomadhub/internal/pyenv"
	"github.com/nomadhub/nomadhub/internal/stack"
	"github.com/nomadhub/nomadhub/internal/stack/hubjob"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first Ctrl-C a second one ends this process at once; the stack's watchdog then ends the rest.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	dir := flags.String("dir", "", "short path of a new folder for data and logs, which is kept; default: a temporary one")
	binary := flags.String("binary", "bin/nomadhub", "the hub's program")
	verbose := flags.Bool("v", false, "say when each server starts and stops")
	if err := flags.Parse(args); err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	if *verbose {
		logger = slog.New(slog.NewTextHandler(progress, nil))
	}
	c := &cluster{out: out, progress: progress, ports: choosePorts(wellKnown(), stack.PortFree, progress)}
	fmt.Fprintln(progress, "cluster: preparing Jupyter")
	if c.python, err = pyenv.Ensure(ctx, pyenv.Options{Name: "hub5", Log: progress}); err != nil {
		return err
	}
	fmt.Fprintln(progress, "cluster: starting Nomad, Consul, Vault, Postgres and dex")
	c.stack, err = stack.Start(ctx, c.stackOptions(*dir, logger))
	if err != nil {
		return err
	}
	defer func() {
		fmt.Fprintln(progress, "\ncluster: stopping")
		err = errors.Join(err, c.stack.Stop())
	}()
	return c.serve(ctx, *binary)
}

// cluster is one run of this command.
type cluster struct {
	out      io.Writer
	progress io.Writer
	ports    ports
	python   pyenv.Env
	stack    *stack.Stack
	secret   string // the hub's at the provider
}

func (c *cluster) serve(ctx context.Context, binary string) error {
	secrets := map[string]map[string]any{clientSecretName: {"client_secret": c.secret}}
	if err := hubjob.Prepare(ctx, c.stack, secrets); err != nil {
		return err
	}
	installed, err := install(binary, filepath.Join(c.stack.Dir, "bin", "nomadhub"))
	if err != nil {
		return err
	}
	o, err := c.hubOptions(installed)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.progress, "cluster: submitting jobspecs/hub.nomad.hcl")
	if err := hubjob.Submit(ctx, c.stack, o); err != nil {
		return err
	}
	environment, err := c.writeEnvironment()
	if err != nil {
		return err
	}
	c.welcome(environment)
	<-ctx.Done()
	return nil
}

// install copies the program to where every account can run it: a checkout may lie in a home that others may not enter.
func install(from, to string) (path string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", fmt.Errorf("the hub's program: %w (make build builds it)", err)
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	return to, errors.Join(err, out.Close())
}
