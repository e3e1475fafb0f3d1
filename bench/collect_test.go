package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCollectTakesTheLastRunOfEach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := map[string]string{
		"a": `{"about":{"date":"2026-01-01"},"versions":[{"name":"Nomad","version":"1.11.0"}]}
{"operation":"O9","name":"token_cpu","size":100,"database":"sqlite","unit":"ms","subject":"nomadhub","round":0,"value":1,"quiet":true}
{"operation":"O9","name":"token_cpu","size":100,"database":"sqlite","unit":"ms","subject":"jupyterhub","round":0,"value":9,"quiet":true}
{"operation":"O13","name":"usable_p50","unit":"ms","subject":"nomadhub","round":0,"value":3,"quiet":true}
`,
		"b": `{"about":{"date":"2026-01-02"},"versions":[{"name":"Nomad","version":"1.11.0"}]}
{"operation":"O9","name":"token_cpu","size":100,"database":"sqlite","unit":"ms","subject":"nomadhub","round":0,"value":2,"quiet":true}
{"operation":"O9","name":"token_cpu","size":100,"database":"sqlite","unit":"ms","subject":"nomadhub","round":1,"value":4,"quiet":true}
{"operation":"O13","name":"usable_p50","unit":"ms","subject":"jupyterhub","round":0,"value":8,"quiet":true}
{"operation":"O14","name":"api","unit":"ms","subject":"jupyterhub","round":0,"value":7,"quiet":true}
{"versions":[{"name":"Nomad","version":"1.11.0"},{"name":"JupyterHub","version":"5.5.4"}]}
`,
		"broken": "{\"operation\":\n", "empty": "",
	}
	paths := map[string]string{}
	for name, text := range files {
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := collect([]string{paths["a"], paths["b"]})
	if err != nil {
		t.Fatal(err)
	}
	token := key{Operation: "O9", Name: "token_cpu", Size: 100, Database: "sqlite", Unit: "ms"}
	if got, quiet := r.values(token, ours); !slices.Equal(got, []float64{2, 4}) || !quiet {
		t.Errorf("ours is %v, want the last run's", got)
	}
	if got, _ := r.values(token, stock); len(got) != 0 {
		t.Errorf("the peer of another run stands beside it: %v", got)
	}
	boot := key{Operation: "O13", Name: "usable_p50", Unit: "ms"}
	if got, _ := r.values(boot, ours); !slices.Equal(got, []float64{3}) {
		t.Errorf("what only the first run measured is %v", got)
	}
	if got, _ := r.values(boot, stock); len(got) != 0 {
		t.Errorf("the peer of a run without ours stands beside it: %v", got)
	}
	if got, _ := r.values(key{Operation: "O14", Name: "api", Unit: "ms"}, stock); !slices.Equal(got, []float64{7}) {
		t.Errorf("what only a peer was measured of is %v", got)
	}
	if want := "in 2 runs one after another, the hub and its peers of each row in the same one"; r.howOften() != want || listed(r.dates) != "2026-01-01 and 2026-01-02" {
		t.Errorf("it was measured on %s %s", listed(r.dates), r.howOften())
	}
	if r.about.Date != "2026-01-02" || !slices.Equal(r.versions, []version{{"Nomad", "1.11.0"}, {"JupyterHub", "5.5.4"}}) {
		t.Errorf("it was made with %+v, %+v", r.about, r.versions)
	}
	for name, want := range map[string]string{"broken": "line 1", "empty": "no measurement", "none": "no such file"} {
		if _, err := collect([]string{filepath.Join(dir, name)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
