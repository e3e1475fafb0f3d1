// Command deps makes sure that programs which tests and trials need are on this machine. As root on Debian it installs what is missing;
// everywhere else it says what to install.
//
//	go run ./internal/cmd/deps chromium postgres compiler
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/internal/deps"
	"github.com/nomadhub/nomadhub/internal/dockerd"
	"github.com/nomadhub/nomadhub/internal/pgtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

// need is a program that is looked for, and Debian's packages that bring it.
type need struct {
	program  string
	missing  func() error
	packages []string
}

func needs() map[string]need {
	return map[string]need{
		"network":    {"iptables or ip", networkTools, []string{"iptables", "iproute2"}},
		"docker":     {"Docker's engine", dockerd.Installed, dockerd.Packages()},
		"chromium":   {"Chromium", func() error { _, err := deps.FindChromium(); return err }, []string{"chromium"}},
		"prometheus": {"Prometheus", func() error { _, err := deps.FindPrometheus(); return err }, []string{"prometheus"}},
		"postgres":   {"Postgres", pgtest.Installed, []string{"postgresql"}},
		"compiler":   {"A C compiler", func() error { _, err := exec.LookPath("gcc"); return err }, []string{"gcc", "libc6-dev"}},
	}
}

// networkTools looks for what Nomad's bridge network and its tests call.
func networkTools() error {
	for _, name := range []string{"iptables", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			return err
		}
	}
	return nil
}

// run looks for all of them before it gives up, so that a person reads once what to install.
func run(ctx context.Context, names []string, log io.Writer) error {
	if len(names) == 0 {
		return errors.New("usage: deps NAME..., where NAME is one of " + strings.Join(slices.Sorted(maps.Keys(needs())), ", "))
	}
	var errs []error
	for _, name := range names {
		n, known := needs()[name]
		if !known {
			return fmt.Errorf("%q is not known; there are %s", name, strings.Join(slices.Sorted(maps.Keys(needs())), ", "))
		}
		errs = append(errs, n.ensure(ctx, log))
	}
	return errors.Join(errs...)
}

func (n need) ensure(ctx context.Context, log io.Writer) error {
	if n.missing() == nil {
		return nil
	}
	if err := deps.Install(ctx, log, n.program, n.packages...); err != nil {
		return err
	}
	return n.missing()
}
