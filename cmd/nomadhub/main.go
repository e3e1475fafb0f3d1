// Command nomadhub is a JupyterHub for HashiCorp Nomad: one binary, one subcommand per file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/nomadhub/nomadhub/internal/heap"
)

// command is one subcommand.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, std streams) error
}

// streams are where a command reads and writes, and the environment that it sees.
type streams struct {
	out, err io.Writer
	environ  []string
}

func commands() []command {
	return []command{
		{"dev", "run a hub for a trial on this machine, with a one-time link to log in", runDev},
		{"serve", "run the hub", runServe},
		{"migrate", "bring the database's schema up to date", runMigrate},
		{"config", "show every option with its default; config check: check a configuration", runConfig},
		{"user", "list, add and change users of a hub that runs", byVerbs("user", userVerbs)},
		{"group", "list, make and fill groups of a hub that runs", byVerbs("group", groupVerbs)},
		{"server", "list, start, stop and watch servers of a hub that runs", byVerbs("server", serverVerbs)},
		{"share", "share servers of a hub that runs with others", byVerbs("share", shareVerbs)},
		{"service", "list, make and remove services of a hub that runs", byVerbs("service", serviceVerbs)},
		{"volume", "list, delete and take back volumes of a hub that runs", byVerbs("volume", volumeVerbs)},
		{"usage", "tell what was used at a hub that runs", byVerbs("usage", usageVerbs)},
		{"audit", "tell who did what at a hub that runs", byVerbs("audit", auditVerbs)},
		{"token", "make an API token with the database alone; token list, create, revoke: at a hub that runs", runToken},
		{"explain", "tell why somebody may do something, or may not", runExplain},
		{"version", "print the version", runVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	heap.Tune(os.Getenv)
	err := dispatch(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr, environ: os.Environ()})
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "nomadhub: "+err.Error())
		os.Exit(exitCode(err))
	}
}

func dispatch(ctx context.Context, args []string, std streams) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, args[1:], std)
			}
		}
	}
	if len(args) == 2 && args[0] == "help" && args[1] == "-markdown" {
		return writeCommands(std.out)
	}
	if len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		usage(std.out)
		return nil
	}
	usage(std.err)
	if len(args) == 0 {
		return errors.New("say which command to run")
	}
	return fmt.Errorf("there is no command %q", args[0])
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: nomadhub COMMAND [options]")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %s\n", c.name, c.summary)
	}
	fmt.Fprintln(w, "nomadhub COMMAND -h tells a command's options.")
}

// paths is a flag that may be given more than once.
type paths []string

func (p *paths) String() string     { return fmt.Sprint(*p) }
func (p *paths) Set(v string) error { *p = append(*p, v); return nil }

func newFlags(name string, std streams) *flag.FlagSet {
	fs := flag.NewFlagSet("nomadhub "+name, flag.ContinueOnError)
	fs.SetOutput(std.err)
	return fs
}

// parse reads options only: what looks like a file's name without its -config would else be overlooked.
func parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%s takes options only, and does not know what to do with %q", fs.Name(), fs.Arg(0))
	}
	return nil
}
