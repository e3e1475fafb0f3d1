package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// goal is what issue and house rules ask for: a limit for our own value, or for its ratio to a peer's.
type goal struct {
	key     key
	peer    string // "": the limit is for our own value
	most    float64
	meaning string
}

// goals are those of docs/explanation/scale.md.
func goals() []goal {
	var all []goal
	for _, db := range []string{"sqlite", "postgres"} {
		start := func(name string) key { return key{Operation: "O13", Name: name, Database: db, Unit: "ms"} }
		burst := func(name string, size int, unit string) key {
			return key{Operation: "O12a", Name: name, Size: size, Database: db, Unit: unit}
		}
		many := func(operation, name, unit string) key {
			return key{Operation: operation, Name: name, Size: 10_000, Database: db, Unit: unit}
		}
		all = append(all,
			goal{start("added_p50"), "", 40, "a start takes 40 ms more than Nomad and the server's own boot, in the middle"},
			goal{start("added_p99"), "", 120, "and 120 ms more at worst"},
			goal{start("first_event_p50"), "", 50, "the first word of progress comes within 50 ms"},
			goal{burst("all_running", 500, "ms"), bare, 1.1, "500 at once take 1.1 times what Nomad alone takes"},
			goal{burst("cpu_per_start", 500, "ms"), "", 1.3, "the hub's processor time for each start"},
			goal{burst("cpu_per_stop", 500, "ms"), "", 0.9, "and for each stop"},
			goal{many("O14", "api", "ms"), "", 500, "the API answers after kill -9"},
			goal{many("O14", "routes", "ms"), "", 1500, "all routes are right again"},
			goal{many("O14", "caught_up", "ms"), "", 3000, "what happened meanwhile is known"},
			goal{many("O15", "resident_without_servers", "MiB"), "", 40, "memory with 10,000 users"},
			goal{many("O15", "resident", "MiB"), "", 100, "memory with 10,000 servers"},
			goal{many("O16", "scrape", "ms"), "", 5, "one look at the metrics"},
			goal{many("O16", "idle_cpu", "% of a core"), "", 2, "a hub with 10,000 servers that nobody asks anything"},
		)
	}
	return all
}

// verdicts prints which goals were met in this run. A goal of which nothing was measured is not mentioned.
func (r *recorder) verdicts(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\ngoal\tdatabase\tmeasured\tat most\tresult")
	for _, g := range goals() {
		own, quiet := r.values(g.key, ours)
		if len(own) == 0 {
			continue
		}
		value := median(own)
		if g.peer != "" {
			theirs, calm := r.values(g.key, g.peer)
			if len(theirs) == 0 {
				continue
			}
			value, quiet = value/median(theirs), quiet && calm
		}
		result := "met"
		if value > g.most {
			result = "MISSED"
		}
		if !quiet {
			result += " (machine not quiet)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", g.meaning, g.key.Database, number(value), number(g.most), result)
	}
	return t.Flush()
}
