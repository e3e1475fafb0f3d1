package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/internal/gotool"
)

// TestVersionIsTheModules keeps the name of the built program and what is built together.
func TestVersionIsTheModules(t *testing.T) {
	t.Parallel()
	root, err := gotool.Root()
	if err != nil {
		t.Fatal(err)
	}
	tool := linter()
	text, err := os.ReadFile(filepath.Join(root, tool.Dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"tool " + tool.Package + "\n", "github.com/golangci/golangci-lint/v2 v" + tool.Version + " "} {
		if !strings.Contains(string(text), line) {
			t.Errorf("%s/go.mod lacks %q", tool.Dir, line)
		}
	}
}
