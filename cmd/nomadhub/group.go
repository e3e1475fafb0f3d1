package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// team is a group, as far as the API tells.
type team struct {
	Name       string          `json:"name"`
	Users      []string        `json:"users"`
	Roles      []string        `json:"roles"`
	Properties json.RawMessage `json:"properties"`
}

func groupVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "list groups", plain(listGroups)},
		{"show", "GROUP", 1, 1, "tell about a group and its members", plain(showGroup)},
		{"create", "GROUP", 1, 1, "make a group", prepareGroupCreate},
		{"delete", "GROUP...", 1, -1, "remove groups; their members stay users", plain(deleteGroups)},
		{"add", "GROUP USER...", 2, -1, "make users members", plain(addMembers)},
		{"remove", "GROUP USER...", 2, -1, "make users no longer members", plain(removeMembers)},
		{"properties", "GROUP", 1, 1, "print the properties of a group, or replace them", prepareProperties},
	}
}

func listGroups(ctx context.Context, r *remote, _ []string) error {
	raw, groups, err := list[team](ctx, r, "/groups", url.Values{"sort": {"name"}})
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	rows := make([][]string, len(groups))
	for i, g := range groups {
		rows[i] = []string{g.Name, strconv.Itoa(len(g.Users)), strings.Join(g.Roles, ",")}
	}
	return r.table([]string{"GROUP", "MEMBERS", "ROLES"}, rows)
}

func showGroup(ctx context.Context, r *remote, args []string) error {
	var g team
	raw, err := r.get(ctx, restclient.Path("groups", args[0]), &g)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	return r.facts([2]string{"group", g.Name}, [2]string{"members", strings.Join(g.Users, ", ")},
		[2]string{"roles", strings.Join(g.Roles, ", ")}, [2]string{"properties", string(g.Properties)})
}

func prepareGroupCreate(fs *flag.FlagSet) action {
	var users words
	fs.Var(&users, "user", "a first member; may be given more than once")
	properties := fs.String("properties", "{}", "a JSON object that goes with it, or @FILE")
	return func(ctx context.Context, r *remote, args []string) error {
		props, err := object("-properties", *properties)
		if err != nil {
			return err
		}
		body := map[string]any{"users": append([]string{}, users...)}
		if string(props) != "{}" { // which not every hub takes here
			body["properties"] = props
		}
		raw, err := r.call(ctx, http.MethodPost, restclient.Path("groups", args[0]), body, nil)
		if err != nil {
			return err
		}
		return r.done(raw, "group %s created", args[0])
	}
}

func deleteGroups(ctx context.Context, r *remote, names []string) error {
	for _, name := range names {
		if _, err := r.call(ctx, http.MethodDelete, restclient.Path("groups", name), nil, nil); err != nil {
			return about("group "+name, err)
		}
		if err := r.done(nil, "group %s deleted", name); err != nil {
			return err
		}
	}
	return nil
}

func addMembers(ctx context.Context, r *remote, args []string) error {
	return changeMembers(ctx, r, http.MethodPost, args)
}

func removeMembers(ctx context.Context, r *remote, args []string) error {
	return changeMembers(ctx, r, http.MethodDelete, args)
}

func changeMembers(ctx context.Context, r *remote, method string, args []string) error {
	var g team
	raw, err := r.call(ctx, method, restclient.Path("groups", args[0], "users"), map[string]any{"users": args[1:]}, &g)
	if err != nil {
		return err
	}
	return r.done(raw, "group %s has %d members", args[0], len(g.Users))
}

func prepareProperties(fs *flag.FlagSet) action {
	set := fs.String("set", "", "a JSON object in place of all properties, or @FILE")
	return func(ctx context.Context, r *remote, args []string) error {
		var g team
		path := restclient.Path("groups", args[0])
		if *set == "" {
			if _, err := r.get(ctx, path, &g); err != nil {
				return err
			}
			return r.printJSON(g.Properties)
		}
		props, err := object("-set", *set)
		if err != nil {
			return err
		}
		raw, err := r.call(ctx, http.MethodPut, path+"/properties", props, nil)
		if err != nil {
			return err
		}
		return r.done(raw, "properties of group %s replaced", args[0])
	}
}
