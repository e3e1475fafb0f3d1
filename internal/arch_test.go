// Package internal holds what only this program uses.
package internal

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/nomadhub/nomadhub/"

// drawing says which packages of this module each package may import, tests aside. An entry with a trailing slash speaks for all below. What is not drawn is not allowed.
var drawing = map[string][]string{
	"cmd/":     {"*"},
	"api":      {"httpd", "hub", "hub/budget", "auth", "auth/scope", "profile", "scheduler"},
	"web":      {"httpd", "hub", "hub/budget", "auth", "auth/scope", "profile", "scheduler"},
	"oauth":    {"httpd", "hub", "auth", "auth/scope"},
	"httpd":    {"hub"},
	"store":    {"hub"},
	"hub":      {"scheduler", "routing", "auth", "auth/scope", "profile", "hub/cull", "hub/budget"},
	"hub/cull": {}, "hub/budget": {},
	"profile":   {"scheduler"},
	"scheduler": {}, "scheduler/local": {"scheduler"}, "scheduler/nomad": {"scheduler", "internal/pull"}, "scheduler/mux": {"scheduler"},
	"routing": {"internal/pull"}, "routing/consul": {"routing", "internal/pull"}, "routing/static": {"routing"},
	"auth": {}, "auth/scope": {}, "auth/": {"auth", "auth/internal/", "secret"},
	"secret": {}, "secret/": {"secret"},
	"config": {}, "leader": {}, "jobspecs": {}, "internal/heap": {}, "internal/pull": {}, "internal/restclient": {},
}

// free are not part of the program: tests, tools and what they need. What is drawn by its own name is part of it all the same.
var free = []string{"internal/", "e2e/", "terraform/", "store/storetest", "scheduler/schedulertest", "routing/routingtest", "auth/authtest"}

func TestImportsAreAsDrawn(t *testing.T) {
	t.Parallel()
	root := ".."
	seen := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() && rel != "." {
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir // a module of its own
			}
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		pkg := path.Dir(filepath.ToSlash(rel))
		if isFree(pkg) {
			return nil
		}
		seen++
		checkFile(t, name, pkg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Fatalf("only %d files were looked at; the walk is broken", seen)
	}
}

func isFree(pkg string) bool {
	if _, drawn := drawing[pkg]; drawn {
		return false
	}
	return slices.ContainsFunc(free, func(f string) bool {
		return pkg == strings.TrimSuffix(f, "/") || strings.HasPrefix(pkg, f) && strings.HasSuffix(f, "/")
	})
}

func checkFile(t *testing.T, name, pkg string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		for _, core := range []string{"github.com/hashicorp/nomad", "github.com/hashicorp/consul", "github.com/hashicorp/vault"} {
			if (imported == core || strings.HasPrefix(imported, core+"/")) && !strings.HasPrefix(imported, core+"/api") {
				t.Errorf("%s imports %s, whose licence is not ours to link", name, imported)
			}
		}
		if target, ours := strings.CutPrefix(imported, module); ours && !allowed(pkg, target) {
			t.Errorf("%s: %s may not import %s", name, pkg, target)
		}
	}
}

// allowed looks a package up by its own name, else by its nearest drawn folder.
func allowed(pkg, target string) bool {
	targets, drawn := drawing[pkg]
	for dir := pkg; !drawn && strings.Contains(dir, "/"); {
		dir = path.Dir(dir)
		targets, drawn = drawing[dir+"/"]
	}
	return drawn && slices.ContainsFunc(targets, func(t string) bool {
		return t == "*" || t == target || strings.HasSuffix(t, "/") && strings.HasPrefix(target, t)
	})
}
