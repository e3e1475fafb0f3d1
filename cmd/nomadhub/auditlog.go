package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"strconv"
)

func auditVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "tell who did what, the newest first", prepareAuditList},
		{"export", "", 0, 0, "print all of it, one entry a line", prepareAuditExport},
	}
}

// auditFilter adds the options that say which entries are wanted.
func auditFilter(fs *flag.FlagSet) func() url.Values {
	options := map[string]*string{
		"owner": fs.String("owner", "", "only what concerns this user"), "actor": fs.String("actor", "", "only what this user, service or part of the hub did"),
		"since": fs.String("since", "", "from this date or time on"), "until": fs.String("until", "", "before this date or time"),
	}
	var actions words
	fs.Var(&actions, "action", "only such acts, as server.start; may be given more than once")
	return func() url.Values {
		query := url.Values{}
		for name, value := range options {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		if actions != nil {
			query["action"] = actions
		}
		return query
	}
}

func prepareAuditList(fs *flag.FlagSet) action {
	filter := auditFilter(fs)
	const usual, most = 100, 1000
	limit := fs.Int("limit", usual, fmt.Sprintf("how many at most, up to %d; export has all", most))
	return func(ctx context.Context, r *remote, _ []string) error {
		if *limit < 1 || *limit > most {
			return misused("-limit is a number from 1 to %d", most)
		}
		query := filter()
		query.Set("limit", strconv.Itoa(*limit))
		var page struct {
			Items []json.RawMessage `json:"items"`
			Next  *string           `json:"next"`
		}
		if _, err := r.get(ctx, "/audit?"+query.Encode(), &page); err != nil {
			return err
		}
		if r.json {
			return r.printJSON(page.Items)
		}
		rows := make([][]string, len(page.Items))
		for i, item := range page.Items {
			var e struct {
				Time                                          moment
				Actor, Token, Address, Action, Target, Result string
			}
			if err := json.Unmarshal(item, &e); err != nil {
				return about("the hub's answer cannot be read", err)
			}
			rows[i] = []string{e.Time.String(), e.Actor, e.Token, e.Address, e.Action, e.Target, e.Result}
		}
		if err := r.table([]string{"TIME", "WHO", "TOKEN", "FROM", "ACT", "ON", "RESULT"}, rows); err != nil || page.Next == nil {
			return err
		}
		_, err := fmt.Fprintln(r.err, "There is more: give a greater -limit or an earlier -until, or use nomadhub audit export.")
		return err
	}
}

func prepareAuditExport(fs *flag.FlagSet) action {
	filter := auditFilter(fs)
	table := fs.Bool("csv", false, "as a table for spreadsheets; default: as JSON")
	return func(ctx context.Context, r *remote, _ []string) error {
		if *table {
			return r.pour(ctx, "/audit.csv?"+filter().Encode(), "text/csv")
		}
		return r.pour(ctx, "/audit.ndjson?"+filter().Encode(), "application/x-ndjson")
	}
}
