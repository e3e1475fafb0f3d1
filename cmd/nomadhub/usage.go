package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// amount is what was reserved, in hours of each.
type amount struct {
	Memory  float64 `json:"memory_gib_hours"`
	CPU     float64 `json:"cpu_hours"`
	Devices float64 `json:"device_hours"`
}

func (a amount) cells() []string { return []string{hours(a.Memory), hours(a.CPU), hours(a.Devices)} }

// hours shows a number as people read it.
func hours(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

func amountHeadings() []string { return []string{"MEMORY (GiB h)", "CPU (h)", "DEVICES (h)"} }

func usageVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "tell what was used in a period, by user, group or profile", prepareUsageList},
		{"runs", "", 0, 0, "list each run of each server in a period", prepareUsageRuns},
		{"export", "", 0, 0, "print all of it as a table for spreadsheets (CSV)", prepareUsageExport},
		{"budgets", "USER", 1, 1, "tell where the limits stand that hold for a user", plain(showBudgets)},
	}
}

// usageFilter adds the options that say what is wanted of the ledger.
func usageFilter(fs *flag.FlagSet) func() url.Values {
	options := map[string]*string{
		"from": fs.String("from", "", "begin of the period, a date or a time; default: of this month"), "to": fs.String("to", "", "its end, which is left out; default: now"),
		"user": fs.String("user", "", "only this user's"), "group": fs.String("group", "", "only of members of this group"), "profile": fs.String("profile", "", "only of this profile"),
	}
	return func() url.Values {
		query := url.Values{}
		for name, value := range options {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		return query
	}
}

// ledger reads all entries of a period, as the hub tells them and as a T each.
func ledger[T any](ctx context.Context, r *remote, query url.Values) (raw []json.RawMessage, entries []T, err error) {
	raw = []json.RawMessage{}
	for next := 0; ; {
		query.Set("offset", strconv.Itoa(next))
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *int              `json:"next"`
		}
		if _, err := r.get(ctx, "/usage?"+query.Encode(), &page); err != nil {
			return nil, nil, err
		}
		for _, item := range page.Items {
			var entry T
			if err := json.Unmarshal(item, &entry); err != nil {
				return nil, nil, about("the hub's answer cannot be read", err)
			}
			raw, entries = append(raw, item), append(entries, entry)
		}
		if page.Next == nil || *page.Next <= next { // one that does not get on would never end
			return raw, entries, nil
		}
		next = *page.Next
	}
}

func prepareUsageList(fs *flag.FlagSet) action {
	filter := usageFilter(fs)
	by := fs.String("by", "user", "user, group or profile; or all, for one sum")
	return func(ctx context.Context, r *remote, _ []string) error {
		query := filter()
		query.Set("by", *by)
		raw, sums, err := ledger[struct {
			Name  string  `json:"name"`
			Runs  int     `json:"runs"`
			Hours float64 `json:"hours"`
			amount
		}](ctx, r, query)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		rows := make([][]string, len(sums))
		for i, s := range sums {
			rows[i] = append([]string{cmp.Or(s.Name, "(none)"), strconv.Itoa(s.Runs), hours(s.Hours)}, s.cells()...)
		}
		return r.table(append([]string{strings.ToUpper(*by), "RUNS", "TIME (h)"}, amountHeadings()...), rows)
	}
}

func prepareUsageRuns(fs *flag.FlagSet) action {
	filter := usageFilter(fs)
	return func(ctx context.Context, r *remote, _ []string) error {
		query := filter()
		query.Set("by", "run")
		raw, runs, err := ledger[struct {
			User    string  `json:"user"`
			Server  string  `json:"server"`
			Profile string  `json:"profile"`
			Began   moment  `json:"began"`
			Ended   moment  `json:"ended"`
			Memory  int64   `json:"memory_mb"`
			Cores   float64 `json:"cores"`
			Devices int     `json:"devices"`
			Reason  string  `json:"reason"`
		}](ctx, r, query)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		rows := make([][]string, len(runs))
		for i, u := range runs {
			rows[i] = []string{
				u.User, cmp.Or(u.Server, "(default)"), u.Profile, u.Began.String(), cmp.Or(u.Ended.String(), "runs"),
				strconv.FormatInt(u.Memory, 10), hours(u.Cores), strconv.Itoa(u.Devices), u.Reason,
			}
		}
		return r.table([]string{"USER", "SERVER", "PROFILE", "BEGAN", "ENDED", "MEMORY (MiB)", "CORES", "DEVICES", "WHY IT ENDED"}, rows)
	}
}

func prepareUsageExport(fs *flag.FlagSet) action {
	filter := usageFilter(fs)
	by := fs.String("by", "user", "user, group, profile, all, or run for each run")
	return func(ctx context.Context, r *remote, _ []string) error {
		query := filter()
		query.Set("by", *by)
		return r.pour(ctx, "/usage.csv?"+query.Encode(), "text/csv")
	}
}

// pour prints an answer as it comes, however long it is. One that breaks off is an error.
func (r *remote) pour(ctx context.Context, path, kind string) error {
	body, err := r.Stream(ctx, path, kind)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err = io.Copy(r.out, body); err != nil {
		return about("the hub's answer broke off", err)
	}
	return nil
}

func showBudgets(ctx context.Context, r *remote, args []string) error {
	var budgets []struct {
		Limit  string `json:"limit"`
		Group  string `json:"group"`
		Period string `json:"period"`
		Next   moment `json:"next"`
		Level  string `json:"level"`
		Used   amount `json:"used"`
		Hard   amount `json:"hard"`
	}
	raw, err := r.get(ctx, restclient.Path("users", args[0], "budgets"), &budgets)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	rows := make([][]string, len(budgets))
	for i, b := range budgets {
		rows[i] = []string{b.Limit, b.Group, b.Period, b.Level, share(b.Used.Memory, b.Hard.Memory), share(b.Used.CPU, b.Hard.CPU), share(b.Used.Devices, b.Hard.Devices), b.Next.String()}
	}
	return r.table(append(append([]string{"LIMIT", "GROUP", "PERIOD", "LEVEL"}, amountHeadings()...), "BEGINS ANEW"), rows)
}

// share is what was used of what there is, where that has a limit.
func share(used, limit float64) string {
	if limit == 0 {
		return hours(used)
	}
	return hours(used) + " of " + hours(limit)
}
