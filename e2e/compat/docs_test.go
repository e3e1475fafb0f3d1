package compat

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const (
	docsPage = "../../docs/reference/jupyterhub-differences.md"
	// writeVariable has the page written instead of compared.
	writeVariable = "COMPAT_WRITE"
)

// TestDifferencesAreDocumented holds the page for readers to the list that the comparison goes by.
func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	want := document()
	if os.Getenv(writeVariable) != "" {
		if err := os.WriteFile(docsPage, []byte(want), 0o644); err != nil { //nolint:gosec // a page of the repository
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what differences_test.go says; write it with: %s=1 go test ./e2e/compat -run Documented", docsPage, writeVariable)
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`# Differences from JupyterHub

<!-- Written from e2e/compat/differences_test.go by its test; do not edit. -->

The tests send more than five thousand requests to a stock JupyterHub 5.5 and to NomadHub, side by side, and compare status, headers that matter, and bodies
without IDs, times and secrets. This is all that differs. The texts of pages and of errors are each hub's own, and are not compared. A star stands for anything.
`)
	for _, part := range parts() {
		fmt.Fprintf(&b, "\n## %s\n\n| request | what | JupyterHub | NomadHub | why |\n|---|---|---|---|---|\n", part.title)
		for _, d := range part.differences {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", requests(d.on), code(d.where), code(d.stock), code(d.ours), cell(d.why))
		}
	}
	return b.String()
}

func requests(on []string) string {
	if len(on) == 0 {
		return "any"
	}
	var all []string
	for _, name := range on {
		all = append(all, code(name))
	}
	return strings.Join(all, ", ")
}

func code(text string) string {
	if text == "" || text == "*" {
		return "any"
	}
	if text == absent {
		return text
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
