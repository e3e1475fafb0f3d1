package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// remotes are the commands that speak to a hub that runs, by their names.
func remotes() []struct {
	name  string
	verbs []verb
} {
	return []struct {
		name  string
		verbs []verb
	}{
		{"user", userVerbs()}, {"group", groupVerbs()}, {"server", serverVerbs()}, {"token", tokenVerbs()}, {"share", shareVerbs()}, {"service", serviceVerbs()},
		{"volume", volumeVerbs()}, {"usage", usageVerbs()}, {"audit", auditVerbs()},
	}
}

const commandsHead = `# Commands

<!-- Written by make generate. -->

| | |
|---|---|
`

const remotesHead = `
The commands below speak to a hub that runs, by its API. They share these options, and end with 0 when done, 1 when the hub refuses or fails, 2 when the command line is
wrong. How to use them is told in [script the hub](../how-to/script-the-hub.md).

| option | |
|---|---|
`

// writeCommands writes the reference of all commands.
func writeCommands(w io.Writer) error {
	var b strings.Builder
	b.WriteString(commandsHead)
	for _, c := range commands() {
		fmt.Fprintf(&b, "| `nomadhub %s` | %s |\n", c.name, c.summary)
	}
	b.WriteString("\n`nomadhub COMMAND -h` tells the options of each.\n" + remotesHead)
	common := flag.NewFlagSet("", flag.ContinueOnError)
	addRemoteFlags(common)
	common.VisitAll(func(f *flag.Flag) { fmt.Fprintf(&b, "| `-%s` | %s |\n", f.Name, f.Usage) })
	for _, c := range remotes() {
		fmt.Fprintf(&b, "\n## nomadhub %s\n\n| command | | options |\n|---|---|---|\n", c.name)
		for _, v := range c.verbs {
			fs := flag.NewFlagSet("", flag.ContinueOnError)
			v.prepare(fs)
			var options []string
			fs.VisitAll(func(f *flag.Flag) { options = append(options, "`-"+f.Name+"` "+f.Usage) })
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimSpace(v.name+" "+v.arguments), v.summary, strings.Join(options, "<br>"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
