package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// grant is a share or a share code, as far as the API tells.
type grant struct {
	ID     string
	Server struct {
		User struct{ Name string }
		Name string
	}
	User, Group *struct{ Name string }
	Scopes      []string
	Created     moment `json:"created_at"`
	Expires     moment `json:"expires_at"`
	Exchanges   int    `json:"exchange_count"`
	AcceptURL   string `json:"accept_url"` // of a new code only, as the next
	FullURL     string `json:"full_accept_url"`
}

func (g grant) with() string {
	switch {
	case g.User != nil:
		return g.User.Name
	case g.Group != nil:
		return "group " + g.Group.Name
	}
	return ""
}

func (g grant) server() string { return cmp.Or(g.Server.Name, "(default)") }

func shareVerbs() []verb {
	return []verb{
		{"list", "USER [SERVER]", 1, 2, "list with whom a user's servers are shared", plain(listShares)},
		{"add", "USER [SERVER]", 1, 2, "share a server", prepareShareAdd},
		{"remove", "USER [SERVER]", 1, 2, "share a server no longer", prepareShareRemove},
		{"with", "USER", 1, 1, "list what is shared with a user", plain(listShared)},
		{"code", "USER [SERVER]", 1, 2, "make a link by which whoever has it may join a server", prepareShareCode},
		{"leave", "USER OWNER [SERVER]", 2, 3, "give up what a user was given of another's server", plain(leaveShare)},
		{"codes", "USER [SERVER]", 1, 2, "list the links that are in force", plain(listShareCodes)},
	}
}

// ofServer is a path about one server; that of the default one ends with a slash.
func ofServer(resource string, args []string) string {
	if len(args) > 1 {
		return restclient.Path(resource, args[0], args[1])
	}
	return restclient.Path(resource, args[0]) + "/"
}

// ofUserOrServer is a path about all servers of a user, or about one.
func ofUserOrServer(resource string, args []string) string {
	return restclient.Path(append([]string{resource}, args...)...)
}

func listShares(ctx context.Context, r *remote, args []string) error {
	return r.grants(ctx, ofUserOrServer("shares", args))
}

func listShared(ctx context.Context, r *remote, args []string) error {
	return r.grants(ctx, restclient.Path("users", args[0], "shared"))
}

func (r *remote) grants(ctx context.Context, path string) error {
	raw, shares, err := list[grant](ctx, r, path, nil)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	rows := make([][]string, len(shares))
	for i, g := range shares {
		rows[i] = []string{g.Server.User.Name, g.server(), g.with(), strings.Join(g.Scopes, " "), g.Created.String()}
	}
	return r.table([]string{"USER", "SERVER", "WITH", "SCOPES", "SINCE"}, rows)
}

func listShareCodes(ctx context.Context, r *remote, args []string) error {
	raw, codes, err := list[grant](ctx, r, ofUserOrServer("share-codes", args), nil)
	if err != nil || r.json {
		return r.orJSON(raw, err)
	}
	rows := make([][]string, len(codes))
	for i, g := range codes {
		rows[i] = []string{g.ID, g.Server.User.Name, g.server(), strconv.Itoa(g.Exchanges), g.Expires.String()}
	}
	return r.table([]string{"ID", "USER", "SERVER", "USED", "EXPIRES"}, rows)
}

// grantee adds the options that say whom a share is for.
func grantee(fs *flag.FlagSet) func() (body map[string]any, err error) {
	user := fs.String("with", "", "a user")
	group := fs.String("group", "", "the members of a group")
	var scopes words
	fs.Var(&scopes, "scopes", "scopes, separated by commas; default: access:servers, of this server")
	return func() (map[string]any, error) {
		if (*user == "") == (*group == "") {
			return nil, misused("say with whom: -with USER or -group GROUP")
		}
		body := map[string]any{"user": *user}
		if *group != "" {
			body = map[string]any{"group": *group}
		}
		if scopes != nil {
			body["scopes"] = []string(scopes)
		}
		return body, nil
	}
}

func prepareShareAdd(fs *flag.FlagSet) action {
	whom := grantee(fs)
	return func(ctx context.Context, r *remote, args []string) error {
		body, err := whom()
		if err != nil {
			return err
		}
		var g grant
		raw, err := r.call(ctx, http.MethodPost, ofServer("shares", args), body, &g)
		if err != nil {
			return err
		}
		return r.done(raw, "server %s of %s is shared with %s", g.server(), args[0], g.with())
	}
}

func prepareShareRemove(fs *flag.FlagSet) action {
	whom := grantee(fs)
	all := fs.Bool("all", false, "with anybody")
	return func(ctx context.Context, r *remote, args []string) error {
		if *all {
			if _, err := r.call(ctx, http.MethodDelete, ofServer("shares", args), nil, nil); err != nil {
				return err
			}
			return r.done(nil, "the server of %s is shared with nobody", args[0])
		}
		body, err := whom()
		if err != nil {
			return err
		}
		var left grant
		raw, err := r.call(ctx, http.MethodPatch, ofServer("shares", args), body, &left)
		if err != nil {
			return err
		}
		if len(left.Scopes) > 0 {
			return r.done(raw, "left: %s", strings.Join(left.Scopes, " "))
		}
		return r.done(raw, "the server of %s is not shared with them", args[0])
	}
}

func prepareShareCode(fs *flag.FlagSet) action {
	expires := fs.Duration("expires", 0, "time after which the link ends, from 1m to 8760h; default: the hub's, usually 24h")
	revoke := fs.String("revoke", "", "end the link with this ID, or all of them: all")
	return func(ctx context.Context, r *remote, args []string) error {
		path := ofServer("share-codes", args)
		if *revoke != "" {
			return r.revokeCodes(ctx, path, *revoke)
		}
		body := map[string]any{}
		if *expires != 0 {
			body["expires_in"] = int64(*expires / time.Second)
		}
		var g grant
		raw, err := r.call(ctx, http.MethodPost, path, body, &g)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		_, err = fmt.Fprintln(r.out, cmp.Or(g.FullURL, g.AcceptURL))
		return err
	}
}

func (r *remote) revokeCodes(ctx context.Context, path, which string) error {
	if which != "all" {
		path += "?" + url.Values{"id": {which}}.Encode()
	}
	if _, err := r.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return r.done(nil, "revoked")
}

func leaveShare(ctx context.Context, r *remote, args []string) error {
	path := restclient.Path("users", args[0]) + ofServer("shared", args[1:])
	if _, err := r.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return r.done(nil, "the server of %s is not shared with %s", args[1], args[0])
}
