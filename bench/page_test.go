package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPage has results of two sizes and a peer on a page: medians, ratios, goals and growth.
func TestPage(t *testing.T) {
	t.Parallel()
	r := &recorder{out: io.Discard}
	r.begins(about{Date: "2026-11-22", Processor: "a processor", Cores: 2, MemoryGiB: 8, Kernel: "Linux", Go: "1.26"})
	r.note("Nomad", "1.11.0")
	r.note("Nomad", "1.11.0")
	calm := round{quiet: true}
	resident := func(size int) key {
		return key{Operation: "O15", Name: "resident", Size: size, Database: "sqlite", Unit: "MiB"}
	}
	for _, v := range []float64{49, 50, 51} {
		r.add(resident(1000), ours, calm, v)
	}
	r.add(resident(10_000), ours, calm, 200)
	r.add(resident(10_000), stock, calm, 1000)
	r.add(key{Operation: "O14", Name: "api", Size: 10_000, Database: "sqlite", Unit: "ms"}, ours, round{}, 1400)
	for db, v := range map[string]float64{"sqlite": 100, "postgres": 300} { // JupyterHub is compared on the same database
		login := key{Operation: "O7", Name: "login_cpu", Size: 10_000, Database: db, Unit: "ms"}
		r.add(login, ours, calm, 10)
		r.add(login, stock, calm, v)
	}
	visit := key{Operation: "O8", Name: "visit_cpu", Size: 10_000, Database: "sqlite", Unit: "ms"}
	r.add(visit, stock, calm, 20)
	visit.Database = "postgres"
	r.add(visit, ours, calm, 1)
	var b strings.Builder
	if err := r.page(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"Measured on 2026-11-22 by `make bench`, all of it in one run;",
		"The machine: a processor, 2 cores, 8 GiB, Linux.",
		"Go 1.26, Nomad 1.11.0.",
		"| O15 | memory with so many servers, after all users were listed | 10,000 | sqlite | 200 MiB | 1000 MiB (5.00×; 5.00 to 5.00) |  |",
		"| O7 | a login with name and password: processor time | 10,000 | sqlite | 10.0 ms | 100 ms (10.0×; 10.0 to 10.0) |  |",
		"| O7 | a login with name and password: processor time | 10,000 | postgres | 10.0 ms | 300 ms (30.0×; 30.0 to 30.0) |  |",
		"| O7 | a login: a 20th of JupyterHub's processor time | sqlite | at most 0.05 × | 0.1 × | **no** |",
		"| O7 | a login: a 20th of JupyterHub's processor time | postgres | at most 0.05 × | 0.0333 × | yes |",
		"| O7 | a login: a 20th of JupyterHub's processor time, of JupyterHub on sqlite | postgres | at most 0.05 × | 0.1 × | **no** |",
		"| O8 | a visit to one's own server: a 20th, of JupyterHub on sqlite | postgres | at most 0.05 × | 0.05 × | yes |",
		"| O14 | the API answers after kill -9 | sqlite | at most 500 ms | 1.40 s\\* | **no** |",
		"| O15 | memory with 10,000 servers | sqlite | at most 95.4 MiB | 200 MiB | **no** |",
		"| O15 | memory with so many servers, after all users were listed | NomadHub | sqlite | 50.0 MiB | 200 MiB | 4.00× |",
		"Others used the machine meanwhile",
	} {
		if !strings.Contains(b.String(), line+"\n") && !strings.Contains(b.String(), line) {
			t.Errorf("the page lacks %q:\n%s", line, b.String())
		}
	}
	if strings.Contains(b.String(), "| O8 | a visit to one's own server: a 20th |") || strings.Contains(b.String(), "postgres | 1.00 ms | 20.0 ms") {
		t.Errorf("what is on one database is compared with what is on another, and nothing says so:\n%s", b.String())
	}
}

// TestEveryGoalHasAMeaning finds goals whose measure has no place on the page, and those which are called what another one is.
func TestEveryGoalHasAMeaning(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, g := range goals() {
		if name := g.key.Operation + " " + g.meaning + " " + g.key.Database; seen[name] {
			t.Errorf("two goals are called %s", name)
		} else {
			seen[name] = true
		}
		if i, _ := place(g.key); i == len(meanings) {
			t.Errorf("%s %s stands in no line of meanings", g.key.Operation, g.key.Name)
		}
	}
}

// TestMost finds the stretch in which most was used.
func TestMost(t *testing.T) {
	t.Parallel()
	var c cpuCurve
	used := time.Duration(0)
	for i := range 100 {
		if i >= 40 && i < 50 {
			used += 10 * time.Millisecond
		}
		c = append(c, cpuSample{time.Unix(0, int64(i)*int64(curveStep)), used})
	}
	if got := c.most(10 * curveStep); got != 100*time.Millisecond {
		t.Errorf("most is %s", got)
	}
	if got := c.most(2 * curveStep); got > 60*time.Millisecond || got < 20*time.Millisecond {
		t.Errorf("most of a fifth is %s", got)
	}
}

// TestWatchedRequests has the proxy in front of a hub see when the culler is done.
func TestWatchedRequests(t *testing.T) {
	t.Parallel()
	var hosts []string
	hub := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts = append(hosts, r.Host) }))
	defer hub.Close()
	w, err := watchRequests(t.Context(), hub.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if w.finished(1) == nil {
		t.Error("it is finished before it began")
	}
	if err := answers(t.Context(), w.url+"/hub/api/"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	for w.finished(1) != nil {
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatal("it is never finished")
		}
	}
	if !slices.Equal(hosts, []string{strings.TrimPrefix(w.url, "http://")}) {
		t.Errorf("the hub was asked as %v", hosts)
	}
}
