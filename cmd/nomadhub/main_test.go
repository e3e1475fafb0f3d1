package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// told is what a command said.
type told struct {
	out, errs string
	err       error
}

// call runs a command as a shell would, with nothing but these variables in its environment.
func call(t *testing.T, environ []string, args ...string) told {
	t.Helper()
	var out, errs bytes.Buffer
	err := dispatch(t.Context(), args, streams{out: &out, err: &errs, environ: environ})
	return told{out.String(), errs.String(), err}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDispatch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args      []string
		out, errs string // parts of what is printed
		fails     string // part of the error; "": none
	}{
		"nothing":           {nil, "", "usage: nomadhub COMMAND", "say which command"},
		"help":              {[]string{"help"}, "serve    run the hub\n", "", ""},
		"-h":                {[]string{"-h"}, "usage: nomadhub COMMAND", "", ""},
		"--help":            {[]string{"--help"}, "usage: nomadhub COMMAND", "", ""},
		"unknown":           {[]string{"launch"}, "", "usage: nomadhub COMMAND", `no command "launch"`},
		"version":           {[]string{"version"}, "nomadhub dev (revision ", "", ""},
		"a stray file":      {[]string{"serve", "hub.hcl"}, "", "", `does not know what to do with "hub.hcl"`},
		"unknown option":    {[]string{"migrate", "-now"}, "", "-dry-run", "-now"},
		"config of nothing": {[]string{"config", "show"}, "", "", `"show"`},
		"config as a poem":  {[]string{"config", "-format", "poem"}, "", "", `no format "poem"`},
		"check of nothing":  {[]string{"config", "check"}, "", "", "config check -config FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, nil, test.args...)
			if !strings.Contains(got.out, test.out) || !strings.Contains(got.errs, test.errs) {
				t.Errorf("printed %q and %q", got.out, got.errs)
			}
			if test.fails == "" && got.err != nil || test.fails != "" && (got.err == nil || !strings.Contains(got.err.Error(), test.fails)) {
				t.Errorf("error %v, want %q", got.err, test.fails)
			}
		})
	}
}

func TestEveryCommandTellsItsOptions(t *testing.T) {
	t.Parallel()
	for _, c := range commands() {
		if c.name == "version" {
			continue // it has none
		}
		got := call(t, nil, c.name, "-h")
		if !errors.Is(got.err, flag.ErrHelp) || !strings.Contains(got.errs, "Usage of nomadhub "+c.name) {
			t.Errorf("%s -h: %v, %q", c.name, got.err, got.errs)
		}
	}
}

func TestVersionSaysAsWhatItSpeaks(t *testing.T) {
	t.Parallel()
	got := call(t, nil, "version")
	if !regexp.MustCompile(`^nomadhub \S+ \(revision \S+, go1\.\S+\), speaks as JupyterHub \d+\.\d+\.\d+\S*\n$`).MatchString(got.out) {
		t.Errorf("printed %q", got.out)
	}
}
