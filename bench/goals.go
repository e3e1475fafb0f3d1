package main

import (
	"cmp"
	"fmt"
	"io"
	"text/tabwriter"
)

// goal is a limit for our own value, or for its ratio to a peer's.
type goal struct {
	key     key
	peer    string // "": the limit is for our own value
	on      string // the peer's database; "": the same as ours
	limit   float64
	meaning string
	atLeast bool // the limit is a least and not a most
}

func (g goal) met(value float64) bool {
	if g.atLeast {
		return value >= g.limit
	}
	return value <= g.limit
}

// megabyte is a million bytes in MiB.
const megabyte = 1e6 / (1 << 20)

// goals are those of docs/explanation/scale.md.
func goals() []goal {
	fake := func(name, unit string) key {
		return key{Operation: "O12b", Name: name, Size: atOnce, Database: "sqlite", Unit: unit}
	}
	all := []goal{
		{key: fake("starts_per_core", "1/s"), limit: 500, atLeast: true, meaning: "starts a second with a scheduler that takes no time"},
		{key: onFake("cpu_per_start"), limit: 1.3, meaning: "the hub's processor time for each start, with such a scheduler"},
		{key: onFake("cpu_per_start"), peer: stock, limit: 0.05, meaning: "a start with such a scheduler: a 20th of JupyterHub's with such a spawner"},
		{key: onFake("cpu_per_stop"), limit: 0.9, meaning: "the hub's processor time for each stop, with such a scheduler"},
		{key: onFake("cpu_per_stop"), peer: stock, limit: 0.05, meaning: "a stop with such a scheduler: a 20th of JupyterHub's with such a spawner"},
		{key: fake("accepted", "ms"), limit: 5000, meaning: "5,000 asked for at once are accepted"},
		{key: fake("ahead_of_few", "starts"), limit: smallGroup + fairStarts, meaning: "of 400 of one group who asked before 40 of another, so many come before the last of these"},
	}
	for _, db := range []string{"sqlite", "postgres"} {
		all = append(all, apiGoals(db)...)
		start := func(name string) key { return key{Operation: "O13", Name: name, Database: db, Unit: "ms"} }
		burst := func(name string, size int, unit string) key {
			return key{Operation: "O12a", Name: name, Size: size, Database: db, Unit: unit}
		}
		many := func(operation, name, unit string) key {
			return key{Operation: operation, Name: name, Size: 10_000, Database: db, Unit: unit}
		}
		all = append(all,
			goal{key: start("beyond_boot_p50"), limit: 40, meaning: "a start takes 40 ms more than the server's own boot, in the middle"},
			goal{key: start("beyond_boot_p99"), limit: 120, meaning: "a start takes 120 ms more, in 99 of 100"},
			goal{key: start("first_event_p50"), limit: 50, meaning: "the first word of progress comes within 50 ms, in the middle"},
			goal{key: start("first_event_p99"), limit: 50, meaning: "the first word of progress comes within 50 ms, in 99 of 100"},
			goal{key: start("added_among_200_p50"), limit: 80, meaning: "a start takes 80 ms more while 200 others start, in the middle"},
			goal{key: start("added_among_200_p99"), limit: 240, meaning: "a start takes 240 ms more while 200 others start, in 99 of 100"},
			goal{key: burst("all_running", 500, "ms"), peer: bare, limit: 1.1, meaning: "500 at once take 1.1 times what Nomad alone takes"},
			goal{key: burst("cpu_per_start", 500, "ms"), limit: 1.3, meaning: "the hub's processor time for each start, on a real Nomad"},
			goal{key: burst("cpu_per_stop", 500, "ms"), limit: 0.9, meaning: "the same for each stop, on a real Nomad"},
			goal{key: many("O14", "api", "ms"), limit: 500, meaning: "the API answers after kill -9"},
			goal{key: many("O14", "routes", "ms"), limit: 1500, meaning: "all routes are right again"},
			goal{key: many("O14", "caught_up", "ms"), limit: 3000, meaning: "what happened meanwhile is known"},
			goal{key: many("O15", "resident_without_servers", "MiB"), limit: 40 * megabyte, meaning: "memory with 10,000 users"},
			goal{key: many("O15", "resident", "MiB"), limit: 100 * megabyte, meaning: "memory with 10,000 servers"},
			goal{key: many("O15", "resident", "MiB"), peer: stock, limit: 0.1, meaning: "memory with 10,000 servers: a tenth of JupyterHub's"},
			goal{key: many("O14", "api", "ms"), peer: stock, limit: 0.04, meaning: "the API answers after kill -9: a 25th of JupyterHub's time"},
			goal{key: many("O16", "cull_pass", "ms"), limit: 300, meaning: "own look for servers that nobody uses"},
			goal{key: many("O16", "reconcile_cpu", "ms"), limit: 500, meaning: "own comparison with the cluster: processor time"},
			goal{key: many("O16", "stock_culler_cpu", "ms"), limit: 400, meaning: "the stock culler's look: the hub's processor time"},
			goal{key: many("O16", "stock_culler_cpu", "ms"), peer: stock, limit: 0.05, meaning: "the stock culler's look: a 20th of JupyterHub's"},
			goal{key: many("O16", "scrape", "ms"), limit: 5, meaning: "one look at the metrics"},
			goal{key: many("O16", "idle_cpu", "% of a core"), limit: 2, meaning: "a hub with 10,000 servers that nobody asks anything"},
			goal{
				key: key{Operation: "F30", Name: "others_p99_ratio", Database: db, Unit: "times"}, limit: 2,
				meaning: "beside a notebook that asks 1,000 times a second, everybody else waits twice as long at most",
			},
		)
	}
	return all
}

// verdict is what came of a goal.
type verdict struct {
	goal
	value      float64
	met, quiet bool
}

// judged are the goals of which something was measured in this run.
func (r *recorder) judged() []verdict {
	var all []verdict
	for _, g := range goals() {
		own, quiet := r.values(g.key, ours)
		if len(own) == 0 {
			continue
		}
		value := median(own)
		if g.peer != "" {
			of := g.key
			of.Database = cmp.Or(g.on, of.Database)
			theirs, calm := r.values(of, g.peer)
			if len(theirs) == 0 {
				continue
			}
			value, quiet = value/median(theirs), quiet && calm
		}
		all = append(all, verdict{g, value, g.met(value), quiet})
	}
	return all
}

// verdicts prints which goals were met in this run. A goal of which nothing was measured is not mentioned.
func (r *recorder) verdicts(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\ngoal\tdatabase\tmeasured\tlimit\tresult")
	for _, v := range r.judged() {
		result := "met"
		if !v.met {
			result = "MISSED"
		}
		if !v.quiet {
			result += " (machine not quiet)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", v.meaning, v.key.Database, number(v.value), number(v.limit), result)
	}
	return t.Flush()
}

// asItComes is the database that JupyterHub has if nobody chooses another one, which the goals speak of. It is slower there at some questions and faster at others.
const asItComes = "sqlite"

// countedUsers are those with whom answers are compared; crowd is how many there are where it should make no difference.
const (
	countedUsers = 10_000
	crowd        = 100_000
)

// apiGoals are those of O7 to O11 on one database: how much less of a core an answer takes than JupyterHub's does, and that it does not grow with the users.
func apiGoals(database string) []goal {
	of := func(operation, name, unit string) key {
		return key{Operation: operation, Name: name, Size: countedUsers, Database: database, Unit: unit}
	}
	times := func(operation, name string, least float64, meaning string) goal {
		return goal{key: of(operation, name+"_cpu", "ms"), peer: stock, limit: 1 / least, meaning: meaning}
	}
	all := []goal{
		times("O7", "login", 20, "a login: a 20th of JupyterHub's processor time"),
		times("O8", "visit", 20, "a visit to one's own server: a 20th"),
		times("O9", "root", 15, "what the API says of itself: a 15th"),
		times("O9", "token_check", 40, "a look at a token: a 40th"),
		times("O9", "token_check_running", 40, "a look at a token with 10,000 servers: a 40th"),
		{key: of("O9", "token_check_p99", "ms"), limit: 5, meaning: "99 of 100 looks at a token, 8 at once"},
		{key: of("O9", "token_check_running_p99", "ms"), limit: 5, meaning: "99 of 100 looks at a token with 10,000 servers, 8 at once"},
		times("O9", "one_user", 30, "one user: a 30th"),
		times("O10", "page_of_200", 20, "a page of 200 users: a 20th"),
		times("O10", "page_of_200_running", 20, "a page of 200 users with 10,000 servers: a 20th"),
		times("O10", "page_of_50", 20, "a page of 50 users: a 20th"),
		{key: of("O10", "far_by_first_cpu", "times"), limit: 1.2, meaning: "a page after 9,000 users takes 1.2 times what the first takes"},
		{key: of("O10", "far_by_first_running_cpu", "times"), limit: 1.2, meaning: "a page after 9,000 users with 10,000 servers takes 1.2 times what the first takes"},
		times("O10", "ready_running", 100, "the users whose servers are ready, with 10,000 servers: a 100th"),
		times("O10", "name_filter", 20, "users by a part of their names: a 20th"),
		times("O10", "name_filter_running", 20, "users by a part of their names with 10,000 servers: a 20th"),
		times("O11", "activity", 100, "a report of activity: a 100th"),
		times("O11", "activity_running", 100, "a report of activity with 10,000 servers: a 100th"),
		{key: of("O11", "activity_transactions", "of 1,000"), limit: 20, meaning: "transactions for 1,000 reports of activity"},
		{key: of("O11", "activity_running_transactions", "of 1,000"), limit: 20, meaning: "transactions for 1,000 reports of activity with 10,000 servers"},
	}
	if database != asItComes {
		for _, g := range all {
			if g.peer == stock {
				g.on, g.meaning = asItComes, g.meaning+", of JupyterHub on "+asItComes
				all = append(all, g)
			}
		}
	}
	for _, q := range questions(crowd) {
		all = append(all, goal{
			key: key{Operation: q.operation, Name: q.name + "_by_fewer", Size: crowd, Database: database, Unit: "times"}, limit: 1.2,
			meaning: q.words + ": with 100,000 users takes 1.2 times what it takes with 10,000",
		})
	}
	return append(all, mixedGoals(database)...)
}

// mixedGoals are those of O17 on one database.
func mixedGoals(database string) []goal {
	of := func(name, unit string) key {
		return key{Operation: "O17", Name: name, Size: countedUsers, Database: database, Unit: unit}
	}
	return []goal{
		{key: of("token_check_p99", "ms"), limit: 20, meaning: "99 of 100 looks at a token while everything goes on at once"},
		{key: of("longest_gap", "ms"), limit: 100, meaning: "and the longest time without an answer to one"},
		{key: of("failed", "requests"), limit: 0, meaning: "and no request fails"},
	}
}
