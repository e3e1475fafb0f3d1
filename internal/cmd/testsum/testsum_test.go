package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func summarize(t *testing.T, lines ...string) (*summary, string) {
	t.Helper()
	var out bytes.Buffer
	s := newSummary(&out)
	if err := s.read(strings.NewReader(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	s.print()
	return s, out.String()
}

func ended(action, pkg, test string) string {
	return `{"Action":"` + action + `","Package":"` + module + pkg + `","Test":"` + test + `","Elapsed":0.25}`
}

func said(pkg, test, text string) string {
	return `{"Action":"output","Package":"` + module + pkg + `","Test":"` + test + `","Output":"` + text + `\n"}`
}

func TestSummarySaysWhatRan(t *testing.T) {
	t.Parallel()
	s, out := summarize(t,
		said("store", "TestPostgres", "quiet when it passes"),
		ended("pass", "store", "TestPostgres/users"),
		ended("pass", "store", "TestPostgres"),
		ended("pass", "store", ""),
		said("routing/consul", "TestReal", "there is no consul here"),
		ended("skip", "routing/consul", "TestReal"),
		ended("pass", "routing/consul", ""),
		ended("fail", "scheduler/nomad", "TestRealNomad"),
		ended("fail", "scheduler/nomad", ""),
	)
	for _, line := range []string{
		"  passed   rows in a real Postgres\n",
		"  skipped  routes from a real Consul\n",
		"  FAILED   servers as jobs of a real Nomad\n",
		"  not run  secrets from a real Vault\n",
		"there is no consul here\n",
		"pass " + module + "store 250ms\n",
		"2 packages with tests passed.\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("lacks %q:\n%s", line, out)
		}
	}
	if strings.Contains(out, "quiet when it passes") {
		t.Error("the output of a test that passed is shown")
	}
	if !strings.HasSuffix(out, "\n2 passed, 1 failed, 1 skipped\n") {
		t.Errorf("the last line is not the count:\n%s", out)
	}
	if s.good() {
		t.Error("a failure counts as good")
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lines []string
		want  bool
	}{
		"all passed":         {[]string{ended("pass", "store", "TestPostgres"), ended("pass", "store", "")}, true},
		"one skipped":        {[]string{ended("pass", "store", "TestA"), ended("skip", "store", "TestB"), ended("pass", "store", "")}, true},
		"nothing ran":        {[]string{ended("skip", "docs", "")}, false},
		"no output at all":   {nil, false},
		"a test failed":      {[]string{ended("pass", "store", "TestA"), ended("fail", "store", "TestB")}, false},
		"a package panicked": {[]string{ended("pass", "store", "TestA"), ended("fail", "web", "")}, false},
		"one does not build": {[]string{ended("pass", "store", "TestA"), `{"Action":"build-fail","ImportPath":"x"}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, out := summarize(t, test.lines...); s.good() != test.want {
				t.Errorf("good is %v:\n%s", s.good(), out)
			}
		})
	}
}

func TestWhatATestSaidBeforeItWasCutOffIsShown(t *testing.T) {
	t.Parallel()
	_, out := summarize(t,
		"go: something of the toolchain",
		`{"Action":"build-output","ImportPath":"x","Output":"x.go:1: wrong\n"}`,
		said("web", "TestHangs", "=== RUN   TestHangs"), said("web", "TestHangs", "waiting for Godot"),
		ended("fail", "web", ""),
	)
	for _, line := range []string{"go: something of the toolchain\n", "x.go:1: wrong\n", "waiting for Godot\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("lacks %q:\n%s", line, out)
		}
	}
	if strings.Contains(out, "=== RUN") {
		t.Errorf("shows the runner's marks:\n%s", out)
	}
}

// TestProofsExist keeps the names in proofs.go and the tests together.
func TestProofsExist(t *testing.T) {
	t.Parallel()
	for _, p := range proofs() {
		files, err := filepath.Glob(filepath.Join("..", "..", "..", filepath.FromSlash(p.pkg), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found = found || bytes.Contains(text, []byte("\nfunc "+p.test+"(t *testing.T)"))
		}
		if !found {
			t.Errorf("there is no %s in %s", p.test, p.pkg)
		}
	}
}
