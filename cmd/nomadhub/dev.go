package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nomadhub/nomadhub/auth/link"
	"github.com/nomadhub/nomadhub/config"
)

// runDev runs a hub for a trial: SQLite, secrets in a private file, servers as processes, everything on this machine only, and a link that logs the
// operator in once.
func runDev(ctx context.Context, args []string, std streams) error {
	var files paths
	fs := newFlags("dev", std)
	fs.Var(&files, "config", "configuration file or directory; may be repeated")
	dir := fs.String("dir", "", "where everything is kept; default: nomadhub in the data directory of this account")
	notebook := fs.String("notebook", "jupyterhub-singleuser", "program that each server runs")
	listen := fs.String("listen", "", "address for browsers, on the loopback interface; default 127.0.0.1:8000")
	admin := fs.String("admin", "admin", "name of the user whom the link logs in")
	stopServers := fs.Bool("stop-servers", false, "end users' servers with the hub, instead of finding them again at the next start")
	if err := parse(fs, args); err != nil {
		return err
	}
	directory, err := devDirectory(*dir)
	if err != nil {
		return err
	}
	command, err := devCommand(*notebook)
	if err != nil {
		return err
	}
	load := func() (loaded, error) {
		base := config.Default(directory)
		base.Local.Command = command
		cfg, err := config.Load(base, files, std.environ)
		if err != nil {
			return loaded{}, err
		}
		if *listen != "" {
			cfg.Listen.Public = *listen
		}
		cfg.Local.StopServers = cfg.Local.StopServers || *stopServers
		return checkDev(cfg, std.environ)
	}
	reload := newReloader(files, load)
	now, err := load()
	if err != nil {
		return err
	}
	way, err := link.New(link.Options{Name: *admin})
	if err != nil {
		return err
	}
	log, level := newLeveledLogger(std.err, *now.Log)
	return run(ctx, program{
		config: now.Config, environ: std.environ, log: log, level: level, link: way, reload: reload,
		ready: func(public string) {
			printWelcome(std, cmp.Or(strings.TrimSuffix(now.SubdomainHost, "/"), public), now.BaseURL, way, directory)
		},
	})
}

func printWelcome(std streams, public, base string, way *link.Authenticator, directory string) {
	code, expires := way.Issue()
	fmt.Fprintf(std.out, `
NomadHub is ready at %[1]s%[2]s

  Log in as administrator (works once, until %[3]s):
  %[1]s%[2]shub/login/link?code=%[4]s

  Files are kept in %[5]s. Ctrl-C stops the hub; the next start prints a new link.

`, public, base, expires.Format("15:04"), code, directory)
}

// checkDev refuses what others could reach.
func checkDev(cfg config.Config, environ []string) (loaded, error) {
	for _, addr := range []string{cfg.Listen.Public, cfg.Listen.Servers, cfg.Listen.Metrics} {
		if !config.Loopback(addr) {
			return loaded{}, fmt.Errorf("nomadhub dev listens on this machine only, and %s can be reached from others; use nomadhub serve", addr)
		}
	}
	if err := errors.Join(cfg.Validate(), checkAuthenticators(cfg, environ)); err != nil {
		return loaded{}, err
	}
	return withProfiles(cfg, environ)
}

func devDirectory(dir string) (string, error) {
	if dir == "" {
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("say where to keep files, with -dir: %w", err)
			}
			data = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(data, "nomadhub")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// devCommand finds the program that servers run. Jupyter refuses to run as root unless told to; on a machine where the hub itself is root, there is no other
// account to choose.
func devCommand(name string) ([]string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("the program %s was not found; install it with: pip install jupyterhub jupyterlab, or say where it is with -notebook", name)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	command := []string{path}
	if os.Geteuid() == 0 {
		command = append(command, "--allow-root")
	}
	return command, nil
}
