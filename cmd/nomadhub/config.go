package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nomadhub/nomadhub/config"
)

// defaultDirectory is where a hub keeps its files unless told otherwise.
const defaultDirectory = "/var/lib/nomadhub"

func runConfig(_ context.Context, args []string, std streams) error {
	if len(args) > 0 && args[0] == "check" {
		return checkConfig(args[1:], std)
	}
	fs := newFlags("config", std)
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("config %s is not known; there is config, and config check", fs.Arg(0))
	}
	fmt.Fprintln(std.out, "# Every option with its default. An option OPTION of a block BLOCK can also be set by the environment variable NOMADHUB_BLOCK_OPTION.")
	fmt.Fprintln(std.out, "# The blocks nomad, consul and secrets.vault are off unless a file has them; what they show here is what they begin with.")
	config.Reference(std.out, config.Default(defaultDirectory))
	printAuthenticators(std.out)
	return nil
}

func checkConfig(args []string, std streams) error {
	var files paths
	fs := newFlags("config check", std)
	fs.Var(&files, "config", "configuration file or directory; may be repeated")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if len(files)+fs.NArg() == 0 {
		return errors.New("say which configuration to check: nomadhub config check -config FILE")
	}
	cfg, err := loadConfig(config.Default(defaultDirectory), append(files, fs.Args()...), std.environ)
	if err != nil {
		return err
	}
	config.Print(std.out, cfg)
	fmt.Fprintln(std.err, "The configuration is good.")
	return nil
}

// loadConfig reads a configuration and refuses one that cannot be right, or that would let in whom nobody meant to.
func loadConfig(base config.Config, files []string, environ []string) (config.Config, error) {
	cfg, err := config.Load(base, files, environ)
	if err != nil {
		return cfg, err
	}
	return cfg, errors.Join(cfg.Validate(), checkAdmission(cfg, environ))
}
