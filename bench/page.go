package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// meanings say in words what is measured, in the order in which pages have it.
var meanings = []struct { //nolint:gochecknoglobals // a table that nothing changes
	operation, name, text string
}{
	{"O12a", "all_running", "many at once: until Nomad says that all run"},
	{"O12a", "all_ready", "many at once: until all can be used"},
	{"O12a", "all_gone", "many at once: until all are gone"},
	{"O12a", "cpu_per_start", "processor time for each start"},
	{"O12a", "cpu_per_stop", "processor time for each stop"},
	{"O12b", "accepted", "5,000 at once, scheduler in memory: until all are accepted"},
	{"O12b", "all_ready", "until all are ready"},
	{"O12b", "starts_per_core", "starts a second of processor time"},
	{"O12b", "stops_per_core", "stops a second of processor time"},
	{"O12b", "cpu_per_start", "processor time for each start, with a scheduler that takes no time"},
	{"O12b", "cpu_per_stop", "and for each stop"},
	{"O12b", "starts_per_second", "starts a second"},
	{"O12b", "stops_per_second", "stops a second"},
	{"O12b", "ahead_of_few", "of 400 of one group, let through before the last of 40 of another that asked after them"},
	{"O13", "first_event_p50", "one start: until the first word of progress, median"},
	{"O13", "first_event_p99", "until the first word of progress, 99 %"},
	{"O13", "usable_p50", "until it can be used, median"},
	{"O13", "usable_p99", "until it can be used, 99 %"},
	{"O13", "added_p50", "beyond what Nomad alone takes, median"},
	{"O13", "added_p99", "beyond what Nomad alone takes, 99 %"},
	{"O13", "beyond_boot_p50", "beyond the time from its place to its first answer, median"},
	{"O13", "beyond_boot_p99", "beyond the time from its place to its first answer, 99 %"},
	{"O13", "said_to_run_p50", "until Nomad says that it runs, median"},
	{"O13", "usable_among_200_p50", "among 200 other starts: until it can be used, median"},
	{"O13", "usable_among_200_p99", "among 200 other starts: until it can be used, 99 %"},
	{"O13", "added_among_200_p50", "among 200 other starts: beyond what Nomad alone takes without them, median"},
	{"O13", "added_among_200_p99", "among 200 other starts: beyond what Nomad alone takes without them, 99 %"},
	{"O13", "start_while_running", "one start while so many run (a driver that runs nothing), median"},
	{"O13", "cpu_while_running", "processor time for one start while so many run"},
	{"O14", "api", "after kill -9: until the API answers"},
	{"O13", "samples", "starts that were measured one after the other"},
	{"O14", "api_without_servers", "after an end: until the API answers, without servers"},
	{"O14", "servers_api", "after kill -9: until the API answers the servers"},
	{"O14", "routes", "after kill -9: until all routes are there"},
	{"O14", "caught_up", "after kill -9: until it is known what ended meanwhile"},
	{"O15", "resident_without_servers", "memory with as many users and no server"},
	{"O15", "resident", "memory with so many servers, after all users were listed"},
	{"O15", "resident_peak", "the most memory until then"},
	{"O15", "resident_peak_restart", "the most memory during the restart"},
	{"O16", "cull_pass", "own look for servers that nobody uses"},
	{"O16", "reconcile", "own comparison with the cluster, nothing changed"},
	{"O16", "reconcile_cpu", "its processor time, at most"},
	{"O16", "stock_culler", "one look of jupyterhub-idle-culler, its own work included"},
	{"O16", "stock_culler_cpu", "the hub's processor time for that look"},
	{"O16", "stock_culler_slowest_answer", "the slowest answer to it"},
	{"O16", "scrape", "one look at the metrics"},
	{"O16", "scrape_size", "size of the metrics"},
	{"O16", "idle_cpu", "a hub that nobody asks anything"},
	{"O9", "root_cpu", "what the API says of itself: processor time"},
	{"O9", "root_rate", "what the API says of itself: answers a second"},
	{"O9", "root_p99", "what the API says of itself: 99 % of 8 at once"},
	{"O9", "token_check_cpu", "a look at a token: processor time"},
	{"O9", "token_check_rate", "a look at a token: answers a second"},
	{"O9", "token_check_p99", "a look at a token: 99 % of 8 at once"},
	{"O9", "token_check_running_cpu", "a look at a token, a server for each user: processor time"},
	{"O9", "token_check_running_rate", "a look at a token, a server for each user: answers a second"},
	{"O9", "token_check_running_p99", "a look at a token, a server for each user: 99 % of 8 at once"},
	{"O9", "one_user_cpu", "one user: processor time"},
	{"O9", "one_user_rate", "one user: answers a second"},
	{"O9", "one_user_p99", "one user: 99 % of 8 at once"},
	{"O9", "one_user_running_cpu", "one user, a server for each user: processor time"},
	{"O9", "one_user_running_rate", "one user, a server for each user: answers a second"},
	{"O9", "one_user_running_p99", "one user, a server for each user: 99 % of 8 at once"},
	{"O10", "page_of_200_cpu", "a page of 200 users: processor time"},
	{"O10", "page_of_200_rate", "a page of 200 users: answers a second"},
	{"O10", "page_of_200_p99", "a page of 200 users: 99 % of 8 at once"},
	{"O10", "page_of_200_running_cpu", "a page of 200 users, a server for each user: processor time"},
	{"O10", "page_of_200_running_rate", "a page of 200 users, a server for each user: answers a second"},
	{"O10", "page_of_200_running_p99", "a page of 200 users, a server for each user: 99 % of 8 at once"},
	{"O10", "page_of_200_far_cpu", "the same after nine tenths of all users: processor time"},
	{"O10", "page_of_200_far_rate", "the same after nine tenths of all users: answers a second"},
	{"O10", "page_of_200_far_p99", "the same after nine tenths of all users: 99 % of 8 at once"},
	{"O10", "page_of_200_far_running_cpu", "the same after nine tenths of all users, a server for each user: processor time"},
	{"O10", "page_of_200_far_running_rate", "the same after nine tenths of all users, a server for each user: answers a second"},
	{"O10", "page_of_200_far_running_p99", "the same after nine tenths of all users, a server for each user: 99 % of 8 at once"},
	{"O10", "page_of_50_cpu", "a page of 50 users: processor time"},
	{"O10", "page_of_50_rate", "a page of 50 users: answers a second"},
	{"O10", "page_of_50_p99", "a page of 50 users: 99 % of 8 at once"},
	{"O10", "ready_cpu", "200 users whose servers are ready: processor time"},
	{"O10", "ready_rate", "200 users whose servers are ready: answers a second"},
	{"O10", "ready_p99", "200 users whose servers are ready: 99 % of 8 at once"},
	{"O10", "ready_running_cpu", "200 users whose servers are ready, a server for each user: processor time"},
	{"O10", "ready_running_rate", "200 users whose servers are ready, a server for each user: answers a second"},
	{"O10", "ready_running_p99", "200 users whose servers are ready, a server for each user: 99 % of 8 at once"},
	{"O10", "name_filter_cpu", "users by a part of their names: processor time"},
	{"O10", "name_filter_rate", "users by a part of their names: answers a second"},
	{"O10", "name_filter_p99", "users by a part of their names: 99 % of 8 at once"},
	{"O10", "name_filter_running_cpu", "users by a part of their names, a server for each user: processor time"},
	{"O10", "name_filter_running_rate", "users by a part of their names, a server for each user: answers a second"},
	{"O10", "name_filter_running_p99", "users by a part of their names, a server for each user: 99 % of 8 at once"},
	{"O11", "activity_cpu", "a report of activity: processor time"},
	{"O11", "activity_rate", "a report of activity: answers a second"},
	{"O11", "activity_p99", "a report of activity: 99 % of 8 at once"},
	{"O11", "activity_running_cpu", "a report of activity, a server for each user: processor time"},
	{"O11", "activity_running_rate", "a report of activity, a server for each user: answers a second"},
	{"O11", "activity_running_p99", "a report of activity, a server for each user: 99 % of 8 at once"},
	{"O10", "far_by_first_cpu", "a page after nine tenths of all users, by the first"},
	{"O10", "far_by_first_running_cpu", "a page after nine tenths of all users, by the first, a server for each user"},
	{"O7", "first_login_cpu", "somebody's first login with name and password: processor time"},
	{"O7", "first_login_rate", "first logins a second"},
	{"O7", "first_login_p99", "a first login: 99 % of 8 at once"},
	{"O7", "login_cpu", "a login with name and password: processor time"},
	{"O7", "login_rate", "logins a second"},
	{"O7", "login_p99", "a login: 99 % of 8 at once"},
	{"O8", "visit_cpu", "somebody who is logged in comes to their server (authorize, exchange of the code, who is it): processor time"},
	{"O8", "visit_rate", "such visits a second"},
	{"O8", "visit_p99", "such a visit: 99 % of 8 at once"},
	{"O11", "activity_transactions", "transactions for 1,000 reports of activity, 200 a second"},
	{"O11", "activity_running_transactions", "transactions for 1,000 reports of activity, a server for each user"},
	{"O9", "root_by_fewer", "what the API says of itself: processor time, by that with fewer users"},
	{"O9", "token_check_by_fewer", "a look at a token: processor time, by that with fewer users"},
	{"O9", "one_user_by_fewer", "one user: processor time, by that with fewer users"},
	{"O10", "page_of_200_by_fewer", "a page of 200 users: processor time, by that with fewer users"},
	{"O10", "page_of_200_far_by_fewer", "the same after nine tenths of all users: processor time, by that with fewer users"},
	{"O10", "page_of_50_by_fewer", "a page of 50 users: processor time, by that with fewer users"},
	{"O10", "ready_by_fewer", "200 users whose servers are ready: processor time, by that with fewer users"},
	{"O10", "name_filter_by_fewer", "users by a part of their names: processor time, by that with fewer users"},
	{"O11", "activity_by_fewer", "a report of activity: processor time, by that with fewer users"},
	{"O17", "token_check_p50", "a look at a token while everything goes on at once: median"},
	{"O17", "token_check_p99", "a look at a token while everything goes on at once: 99 %"},
	{"O17", "token_check_slowest", "the slowest of these"},
	{"O17", "longest_gap", "the longest time without an answer to one"},
	{"O17", "login_p99", "a login meanwhile: 99 %"},
	{"O17", "start_p99", "a start meanwhile, until it is accepted: 99 %"},
	{"O17", "activity_p99", "a report of activity meanwhile: 99 %"},
	{"O17", "cull_pass", "a look of the culler meanwhile, at most"},
	{"O17", "scrape", "a look at the metrics meanwhile, at most"},
	{"O17", "message_p99", "a message on a websocket and back meanwhile: 99 %"},
	{"O17", "cpu", "the hub's processor meanwhile"},
	{"O17", "failed", "requests that were refused or not answered in time"},
	{"F30", "others_p99_alone", "20 others' requests to the API, 99 %"},
	{"F30", "others_p99_beside", "the same beside a notebook that asks 1,000 times a second, 99 %"},
	{"F30", "others_p99_ratio", "how many times as long that is"},
	{"F30", "others_p99_ratio_burst", "the same while the notebook uses up what it may ask at once"},
	{"F30", "cpu_alone", "the hub's processor meanwhile, with the others only"},
	{"F30", "cpu_beside", "the hub's processor meanwhile, beside the notebook"},
	{"F30", "let_through", "requests of the notebook that were let through"},
	{"F30", "refused", "requests of the notebook that were refused"},
}

// place is where a key stands on a page, and what it is called there.
func place(k key) (int, string) {
	for i, m := range meanings {
		if m.operation == k.Operation && m.name == k.Name {
			return i, m.text
		}
	}
	return len(meanings), k.Name
}

// howOften says in how many runs all was measured.
func (r *recorder) howOften() string {
	if r.runs > 1 {
		return fmt.Sprintf("in %d runs one after another, the hub and its peers of each row in the same one", r.runs)
	}
	return "all of it in one run"
}

// listed is a list as a sentence has it.
func listed(all []string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// page writes a whole page with all results.
func (r *recorder) page(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Performance\n\n")
	fmt.Fprintf(&b, "Measured on %s by `make bench`, %s; see [how](../how-to/measure.md), and [what it grows with](../explanation/scale.md). ", listed(r.dates), r.howOften())
	fmt.Fprintf(&b, "The machine: %s, %d cores, %d GiB, %s. ", r.about.Processor, r.about.Cores, r.about.MemoryGiB, r.about.Kernel)
	fmt.Fprintf(&b, "The hub, or the peer in its place, had one core to itself; the cluster and who asks shared the other. Go %s", r.about.Go)
	for _, v := range r.sortedVersions() {
		fmt.Fprintf(&b, ", %s %s", v.Name, v.Number)
	}
	if r.about.Commit != "" {
		fmt.Fprintf(&b, "; commit `%s`", r.about.Commit)
	}
	b.WriteString(".\n")
	if !r.allQuiet() {
		b.WriteString("\n**Others used the machine meanwhile in rows with a \\*: they are no result.**\n")
	}
	r.scoreboard(&b)
	r.goalTable(&b)
	r.growth(&b)
	r.everything(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *recorder) sortedVersions() []version {
	return slices.SortedFunc(slices.Values(r.versions), func(a, b version) int { return cmp.Compare(a.Name, b.Name) })
}

func (r *recorder) allQuiet() bool {
	keys, subjects := r.keys()
	for _, k := range keys {
		for _, s := range subjects[k] {
			if _, quiet := r.values(k, s); !quiet {
				return false
			}
		}
	}
	return true
}

// inOrder are all keys in the order of the page.
func (r *recorder) inOrder() ([]key, map[key][]string) {
	keys, subjects := r.keys()
	slices.SortStableFunc(keys, func(a, b key) int {
		i, _ := place(a)
		j, _ := place(b)
		return cmp.Or(i-j, cmp.Compare(b.Database, a.Database), a.Size-b.Size)
	})
	return keys, subjects
}

// scoreboard has all that was measured beside a peer.
func (r *recorder) scoreboard(b *strings.Builder) {
	b.WriteString("\n## Beside others\n\nMedians; in parentheses the ratio to ours: how many times as much the other takes, and its 95 % interval. Nomad alone is the bound: the same " +
		"job through its API, by a program that looks after nothing. JupyterHub is on the database of its row.\n\n")
	b.WriteString("| operation | what | users or servers | database | NomadHub | JupyterHub | Nomad alone |\n|---|---|---|---|---|---|---|\n")
	keys, subjects := r.inOrder()
	for _, k := range keys {
		if !slices.Contains(subjects[k], ours) || len(subjects[k]) < 2 {
			continue
		}
		_, text := place(k)
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n", k.Operation, text, many(k.Size), k.Database, r.cell(k, ours), r.peerCell(k, stock), r.peerCell(k, bare))
	}
}

// cell is the median of what was measured, with its unit; a star if the machine was not quiet.
func (r *recorder) cell(k key, subject string) string {
	values, quiet := r.values(k, subject)
	return cellText(values, quiet, k.Unit)
}

func cellText(values []float64, quiet bool, unit string) string {
	if len(values) == 0 {
		return ""
	}
	text := withUnit(median(values), unit)
	if !quiet {
		text += "\\*"
	}
	return text
}

func (r *recorder) peerCell(k key, subject string) string {
	values, quiet := r.values(k, subject)
	own, _ := r.values(k, ours)
	text := cellText(values, quiet, k.Unit)
	if len(values) == 0 || median(own) == 0 {
		return text
	}
	i := ratioInterval(values, own)
	return fmt.Sprintf("%s (%s×; %s to %s)", text, number(median(values)/median(own)), number(i.Low), number(i.High))
}

// withUnit writes a value as people read it.
func withUnit(v float64, unit string) string {
	switch {
	case unit == "ms" && v >= 1000:
		return number(v/1000) + " s"
	case unit == "% of a core":
		return number(v) + " %"
	case unit == "1/s":
		return number(v) + "/s"
	}
	return number(v) + " " + unit
}

// many writes a number of servers.
func many(n int) string {
	switch {
	case n == 0:
		return ""
	case n < 1000:
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// goalTable says which goals were met.
func (r *recorder) goalTable(b *strings.Builder) {
	b.WriteString("\n## Goals\n\n| operation | goal | database | limit | measured | met |\n|---|---|---|---|---|---|\n")
	for _, v := range r.judged() {
		met := "**no**"
		if v.met {
			met = "yes"
		}
		star := ""
		if !v.quiet {
			star = "\\*"
		}
		bound := "at most "
		if v.atLeast {
			bound = "at least "
		}
		unit := v.key.Unit
		if v.peer != "" {
			unit = "×"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s%s | %s%s | %s |\n", v.key.Operation, v.meaning, v.key.Database, bound, withUnit(v.limit, unit), withUnit(v.value, unit), star, met)
	}
}

// growth has what was measured with several numbers of servers.
func (r *recorder) growth(b *strings.Builder) {
	keys, subjects := r.inOrder()
	sizes := map[int]bool{}
	for _, k := range keys {
		if grows(k) {
			sizes[k.Size] = true
		}
	}
	columns := slices.Sorted(maps.Keys(sizes))
	if len(columns) < 2 {
		return
	}
	b.WriteString("\n## How it grows\n\n| operation | what | whose | database |")
	for _, n := range columns {
		fmt.Fprintf(b, " %s |", many(n))
	}
	b.WriteString(" last by first |\n|" + strings.Repeat("---|", len(columns)+5) + "\n")
	done := map[string]bool{}
	for _, k := range keys {
		for _, subject := range subjects[k] {
			id := k.Operation + k.Name + k.Database + subject
			if !grows(k) || done[id] {
				continue
			}
			done[id] = true
			r.growthRow(b, k, subject, columns)
		}
	}
}

// everything has all medians, their ranges, and how often each was measured.
func (r *recorder) everything(b *strings.Builder) {
	b.WriteString("\n## Everything that was measured\n\n| operation | what | users or servers | database | whose | median | range | rounds |\n|---|---|---|---|---|---|---|---|\n")
	keys, subjects := r.inOrder()
	for _, k := range keys {
		_, text := place(k)
		for _, subject := range subjects[k] {
			values, _ := r.values(k, subject)
			s := spread(values)
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s to %s | %d |\n", k.Operation, text, many(k.Size), k.Database, whose(subject), r.cell(k, subject),
				withUnit(s.Low, k.Unit), withUnit(s.High, k.Unit), len(values))
		}
	}
}

func whose(subject string) string {
	switch subject {
	case stock:
		return "JupyterHub"
	case bare:
		return "Nomad alone"
	}
	return "NomadHub"
}

// grows tells whether something is measured for several numbers of servers.
func grows(k key) bool {
	return k.Size > 0 && (k.Operation == "O13" || k.Operation == "O14" || k.Operation == "O15" || k.Operation == "O16")
}

func (r *recorder) growthRow(b *strings.Builder, k key, subject string, columns []int) {
	_, text := place(k)
	fmt.Fprintf(b, "| %s | %s | %s | %s |", k.Operation, text, whose(subject), k.Database)
	var measured []float64
	for _, n := range columns {
		k.Size = n
		values, _ := r.values(k, subject)
		if len(values) > 0 {
			measured = append(measured, median(values))
		}
		fmt.Fprintf(b, " %s |", r.cell(k, subject))
	}
	factor := ""
	if len(measured) > 1 && measured[0] > 0 {
		factor = number(measured[len(measured)-1]/measured[0]) + "×"
	}
	fmt.Fprintf(b, " %s |\n", factor)
}
