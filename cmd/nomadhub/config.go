package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/profile"
)

// defaultDirectory is where a hub keeps its files unless told otherwise.
const defaultDirectory = "/var/lib/nomadhub"

func runConfig(ctx context.Context, args []string, std streams) error {
	if len(args) > 0 && args[0] == "check" {
		return checkConfig(ctx, args[1:], std)
	}
	fs := newFlags("config", std)
	format := fs.String("format", "hcl", "hcl: as a file to begin with; markdown: as tables to read")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch *format {
	case "hcl":
		return writeReference(std.out)
	case "markdown":
		return writeTables(std.out)
	}
	return fmt.Errorf("there is no format %q; there are hcl and markdown", *format)
}

// reference is every option that there is.
func reference() (all config.Block, authenticators []config.Block) {
	for _, name := range kindNames() {
		options, err := kinds()[name].decode(config.Authenticator{}, nil)
		if err != nil {
			continue // a block without a body cannot be wrong
		}
		b := config.DescribeAuthenticator(name, name, options)
		b.Off = true
		authenticators = append(authenticators, b)
	}
	return config.DescribeAll(config.Default(defaultDirectory)), authenticators
}

const referenceHead = `# Every option with its default: a file to begin with. What is off by default is commented out.
# An option OPTION of a block BLOCK can also be set by the environment variable NOMADHUB_BLOCK_OPTION: NOMADHUB_LISTEN_PUBLIC,
# NOMADHUB_SECRETS_VAULT_ADDRESS. Lists have commas there. In a file, env("NAME") and file("path") read a value from elsewhere.

`

// referenceProfiles stands for all that a profile can say, which has a page of its own.
const referenceProfiles = `
# Kinds of servers that users may choose from. docs/reference/profiles.md has all that may stand in them.
#profile_defaults {
#  mem_guarantee = "512M"
#  mem_limit     = "2G"
#}

#profile "small" {
#  display_name = "Small"
#}
`

func writeReference(w io.Writer) error {
	all, authenticators := reference()
	if _, err := io.WriteString(w, referenceHead); err != nil {
		return err
	}
	if err := all.WriteHCL(w); err != nil {
		return err
	}
	if _, err := io.WriteString(w, referenceProfiles); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "\n# Ways to log in. There may be several, also of one type; the second label names each in addresses.\n"); err != nil {
		return err
	}
	return writeAll(w, authenticators)
}

func writeAll(w io.Writer, blocks []config.Block) error {
	for _, b := range blocks {
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := b.WriteHCL(w); err != nil {
			return err
		}
	}
	return nil
}

const tablesHead = `# Configuration

<!-- Written by "make generate" from the code; do not edit. -->

` + "`nomadhub serve -config PATH`" + ` reads a file, or all ` + "`*.hcl`" + ` files of a directory by name; ` + "`-config`" + ` may be repeated. A later file wins over an
earlier one, and an environment variable over both. An unknown option is an error that names the file and the line.
` + "`nomadhub config`" + ` prints all of this as a file to begin with; ` + "`nomadhub config check PATH`" + ` checks one and prints what is in force, without secrets.

Lengths of time are written as ` + "`\"90s\"` or `\"2m\"`" + `. In a file, ` + "`env(\"NAME\")` and `file(\"path\")`" + ` read a value from elsewhere.
In environment variables, lists have commas, and a variable for a block that no file has is an error.
`

const tablesAuthenticators = `
## Ways to log in

There may be several blocks, also of one type. The second label names each in addresses; a later file replaces a block by using its
name again. Their options are set in files only.
`

const tablesProfiles = `
## Kinds of servers

Blocks ` + "`profile \"NAME\" { … }` and `profile_defaults { … }`" + ` say what users may choose from; [profiles](profiles.md) has all that may stand in them. A later file
replaces a profile by using its name again. Without any profile, every server is started as ` + "`nomad`, `local` and `notebook`" + ` say.

While the hub runs, it reads its files again when one of them changes, and on SIGHUP. Profiles, ` + "`role`, `scope`, `limits`, `culling`, `usage`, `log.level` and who may enter (`login`)" + `
are live at once; the log names what waits for a restart. A configuration that is not good is refused with its line in the log, and the one before stays in force.
`

func writeTables(w io.Writer) error {
	all, authenticators := reference()
	if _, err := io.WriteString(w, tablesHead); err != nil {
		return err
	}
	if err := all.WriteMarkdown(w, 2); err != nil {
		return err
	}
	if _, err := io.WriteString(w, tablesProfiles); err != nil {
		return err
	}
	if _, err := io.WriteString(w, tablesAuthenticators); err != nil {
		return err
	}
	for _, b := range authenticators {
		b.Off = false
		if err := b.WriteMarkdown(w, 3); err != nil {
			return err
		}
	}
	return nil
}

func checkConfig(ctx context.Context, args []string, std streams) error {
	var files paths
	fs := newFlags("config check", std)
	fs.Var(&files, "config", "configuration file or directory; may be repeated")
	offline := fs.Bool("offline", false, "do not ask the cluster whether profiles and services can be placed")
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
	if err := printConfig(std.out, cfg, std.environ); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(std.err, "The configuration is good."); err != nil || *offline || cfg.Nomad == nil {
		return err
	}
	return checkPlaces(ctx, cfg, std)
}

// checkPlaces asks the configured cluster about profiles and services.
func checkPlaces(ctx context.Context, cfg config.Config, std streams) error {
	set, named, err := decodeProfiles(cfg, std.environ)
	if err != nil {
		return err
	}
	sched, err := openNomad(*cfg.Nomad, named, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	questions := aboutProfiles(*cfg.Notebook, set, sched)
	if slices.ContainsFunc(cfg.Services, config.Service.Runs) {
		services, _, err := openServiceScheduler(*cfg.Nomad, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		questions = append(questions, aboutServices(cfg.Services, services)...)
	}
	return checkCluster(ctx, std.err, questions)
}

// printConfig writes what is in force, without secrets.
func printConfig(w io.Writer, cfg config.Config, environ []string) error {
	if err := config.Describe(cfg).WriteHCL(w); err != nil {
		return err
	}
	var blocks []config.Block
	for _, block := range cfg.Authenticators {
		_, options, err := decodeAuthenticator(block, environ)
		if err != nil {
			return err
		}
		blocks = append(blocks, config.DescribeAuthenticator(block.Type, block.ID, options))
	}
	if err := writeAll(w, blocks); err != nil {
		return err
	}
	return printProfiles(w, cfg)
}

// printProfiles writes profiles as they stand in their files: their values depend on who starts a server, and what they read from elsewhere is not shown.
func printProfiles(w io.Writer, cfg config.Config) error {
	var texts []string
	for _, d := range cfg.ProfileDefaults {
		texts = append(texts, d.Text)
	}
	if len(texts) > 1 { // of several files, whose order cannot be told in one
		for i := range texts[:len(texts)-1] {
			texts[i] = "# Before the next block of this name:\n# " + strings.ReplaceAll(texts[i], "\n", "\n# ")
		}
	}
	for _, p := range cfg.Profiles {
		texts = append(texts, p.Text)
	}
	for _, text := range texts {
		if _, err := fmt.Fprintf(w, "\n%s\n", text); err != nil {
			return err
		}
	}
	return nil
}

// loadConfig reads a configuration and refuses one that cannot be right, or that would let in whom nobody meant to.
func loadConfig(base config.Config, files []string, environ []string) (config.Config, error) {
	cfg, err := config.Load(base, files, environ)
	if err != nil {
		return cfg, err
	}
	return cfg, errors.Join(cfg.Validate(), checkAdmission(cfg, environ), checkProfiles(cfg, environ), checkRules(cfg), checkRoles(cfg), checkServices(cfg))
}

func checkProfiles(cfg config.Config, environ []string) error {
	set, _, err := decodeProfiles(cfg, environ)
	if err != nil || cfg.Nomad == nil {
		return err
	}
	return checkProfilePlaces(*cfg.Nomad, set)
}

// checkProfilePlaces refuses profiles whose servers nobody would look for. What depends on who starts a server may still be refused then.
func checkProfilePlaces(c config.Nomad, set *profile.Set) error {
	var errs []error
	told := map[string]bool{}
	for _, one := range set.Cases() {
		p := one.Workload.Placement
		if one.Err != nil || c.Has(p.Region, p.Namespace) {
			continue
		}
		option, name := "namespace", p.Namespace
		if !c.Has(p.Region, "") {
			option, name = "region", p.Region
		}
		reason := fmt.Sprintf("profile %q asks for the %s %q, in which this hub runs no servers; correct the profile, or add the %s to nomad.%ss",
			one.Profile, option, name, option, option)
		if !told[reason] {
			told[reason] = true
			errs = append(errs, errors.New(reason))
		}
	}
	return errors.Join(errs...)
}
