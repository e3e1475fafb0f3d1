package main

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// helper is a service, as far as the API tells.
type helper struct {
	Name    string   `json:"name"`
	Admin   bool     `json:"admin"`
	Roles   []string `json:"roles"`
	URL     string   `json:"url"`
	Prefix  string   `json:"prefix"`
	Command []string `json:"command"`
}

func serviceVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "list services", plain(listServices)},
		{"show", "SERVICE", 1, 1, "tell about a service", plain(showService)},
		{"create", "SERVICE", 1, 1, "make a service that somebody else runs", prepareServiceCreate},
		{"delete", "SERVICE...", 1, -1, "remove services that were made so", plain(deleteServices)},
	}
}

func listServices(ctx context.Context, r *remote, _ []string) error {
	var told map[string]json.RawMessage // this list is an object
	if _, err := r.get(ctx, "/services", &told); err != nil {
		return err
	}
	raw, rows := []json.RawMessage{}, [][]string{}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		var s helper
		if err := json.Unmarshal(told[name], &s); err != nil {
			return err
		}
		raw, rows = append(raw, told[name]), append(rows, []string{s.Name, yesNo(s.Admin), strings.Join(s.Roles, ","), s.Prefix, s.URL})
	}
	if r.json {
		return r.printJSON(raw)
	}
	return r.table([]string{"SERVICE", "ADMIN", "ROLES", "PATH", "LISTENS AT"}, rows)
}

func showService(ctx context.Context, r *remote, args []string) error {
	var s helper
	raw, err := r.get(ctx, restclient.Path("services", args[0]), &s)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	return r.facts([2]string{"service", s.Name}, [2]string{"admin", yesNo(s.Admin)}, [2]string{"roles", strings.Join(s.Roles, ", ")},
		[2]string{"path", s.Prefix}, [2]string{"listens at", s.URL}, [2]string{"command", strings.Join(s.Command, " ")})
}

func prepareServiceCreate(fs *flag.FlagSet) action {
	file := fs.String("file", "", "a file with what it is, as a JSON object with the fields of the API: url, api_token, info and so on; default: nothing but its name")
	return func(ctx context.Context, r *remote, args []string) error {
		body := json.RawMessage("{}")
		if *file != "" { // a file and no text: a token may be in it
			var err error
			if body, err = object("-file", "@"+*file); err != nil {
				return err
			}
		}
		raw, err := r.call(ctx, http.MethodPost, restclient.Path("services", args[0]), body, nil)
		if err != nil {
			return err
		}
		return r.done(raw, "service %s created", args[0])
	}
}

func deleteServices(ctx context.Context, r *remote, names []string) error {
	for _, name := range names {
		if _, err := r.call(ctx, http.MethodDelete, restclient.Path("services", name), nil, nil); err != nil {
			return about("service "+name, err)
		}
		if err := r.done(nil, "service %s deleted", name); err != nil {
			return err
		}
	}
	return nil
}
