package main

import (
	"context"
	"flag"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// account is a user, as far as the API tells.
type account struct {
	Name         string   `json:"name"`
	Admin        bool     `json:"admin"`
	Groups       []string `json:"groups"`
	Roles        []string `json:"roles"`
	Created      moment   `json:"created"`
	LastActivity moment   `json:"last_activity"`
	Servers      map[string]notebook
}

func userVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "list users", prepareUserList},
		{"show", "USER", 1, 1, "tell about a user", plain(showUser)},
		{"create", "USER...", 1, -1, "add users before they ever log in", prepareUserCreate},
		{"delete", "USER...", 1, -1, "remove users, with their servers", plain(deleteUsers)},
		{"admin", "USER", 1, 1, "make a user an administrator, or no longer one", prepareUserAdmin},
		{"rename", "USER NAME", 2, 2, "give a user another name", plain(renameUser)},
	}
}

func prepareUserList(fs *flag.FlagSet) action {
	filter := fs.String("filter", "", "only users whose name contains this")
	state := fs.String("state", "", "only users with servers that are active, ready or inactive")
	return func(ctx context.Context, r *remote, _ []string) error {
		q := url.Values{"sort": {"name"}}
		for key, value := range map[string]string{"name_filter": *filter, "state": *state} {
			if value != "" {
				q.Set(key, value)
			}
		}
		raw, users, err := list[account](ctx, r, "/users", q)
		if err != nil {
			return err
		}
		if r.json {
			return r.printJSON(raw)
		}
		rows := make([][]string, len(users))
		for i, u := range users {
			rows[i] = []string{u.Name, yesNo(u.Admin), strings.Join(u.Groups, ","), strconv.Itoa(len(u.Servers)), u.LastActivity.String()}
		}
		return r.table([]string{"USER", "ADMIN", "GROUPS", "SERVERS", "LAST ACTIVITY"}, rows)
	}
}

func showUser(ctx context.Context, r *remote, args []string) error {
	var u account
	raw, err := r.get(ctx, restclient.Path("users", args[0]), &u)
	if err != nil {
		return err
	}
	if r.json {
		return r.printJSON(raw)
	}
	facts := [][2]string{
		{"user", u.Name}, {"admin", yesNo(u.Admin)}, {"groups", strings.Join(u.Groups, ", ")}, {"roles", strings.Join(u.Roles, ", ")},
		{"created", u.Created.String()}, {"last activity", u.LastActivity.String()},
	}
	for _, s := range sorted(u.Servers) {
		facts = append(facts, [2]string{"server " + s.label(), s.state()})
	}
	return r.facts(facts...)
}

func prepareUserCreate(fs *flag.FlagSet) action {
	admin := fs.Bool("admin", false, "they are administrators")
	return func(ctx context.Context, r *remote, names []string) error {
		var made []account
		raw, err := r.call(ctx, http.MethodPost, "/users", map[string]any{"usernames": names, "admin": *admin}, &made)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		for _, u := range made {
			if err := r.done(nil, "user %s created", u.Name); err != nil {
				return err
			}
		}
		if len(made) < len(names) {
			return r.done(nil, "%d existed already", len(names)-len(made))
		}
		return nil
	}
}

func deleteUsers(ctx context.Context, r *remote, names []string) error {
	for _, name := range names {
		if _, err := r.call(ctx, http.MethodDelete, restclient.Path("users", name), nil, nil); err != nil {
			return about("user "+name, err)
		}
		if err := r.done(nil, "user %s deleted", name); err != nil {
			return err
		}
	}
	return nil
}

func prepareUserAdmin(fs *flag.FlagSet) action {
	revoke := fs.Bool("revoke", false, "no longer one")
	return func(ctx context.Context, r *remote, args []string) error {
		raw, err := r.call(ctx, http.MethodPatch, restclient.Path("users", args[0]), map[string]any{"admin": !*revoke}, nil)
		if err != nil {
			return err
		}
		if *revoke {
			return r.done(raw, "user %s is no administrator", args[0])
		}
		return r.done(raw, "user %s is an administrator", args[0])
	}
}

func renameUser(ctx context.Context, r *remote, args []string) error {
	raw, err := r.call(ctx, http.MethodPatch, restclient.Path("users", args[0]), map[string]any{"name": args[1]}, nil)
	if err != nil {
		return err
	}
	return r.done(raw, "user %s is now %s", args[0], args[1])
}

// sorted are servers by name, the default one first.
func sorted(servers map[string]notebook) []notebook {
	list := make([]notebook, 0, len(servers))
	for name, s := range servers {
		s.Name = name
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b notebook) int { return strings.Compare(a.Name, b.Name) })
	return list
}
