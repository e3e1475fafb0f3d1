package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/nomadhub/nomadhub/internal/restclient"
)

// storage is a volume, as far as the API tells.
type storage struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	Source      string `json:"source"`
	Share       string `json:"share"`
	User        string `json:"user"`
	Server      string `json:"server"`
	Group       string `json:"group"`
	State       string `json:"state"`
	Node        string `json:"node"`
	CapacityMB  int64  `json:"capacity_mb"`
	Fate        string `json:"fate"`
	Note        string `json:"note"`
	LastUsed    moment `json:"last_used"`
	DeleteAfter moment `json:"delete_after"`
	Uses        []struct {
		User   string `json:"user"`
		Server string `json:"server"`
		Active bool   `json:"active"`
	} `json:"used_by"`
}

// belongs says whose it is.
func (v storage) belongs() string {
	switch v.Share {
	case "server":
		return v.User + "/" + v.Server
	case "group":
		return "group " + v.Group
	case "all":
		return "everybody"
	}
	return v.User
}

// isIn tells whether the volume is in a state that the API has as a filter.
func (v storage) isIn(state string) bool {
	return state == "" || v.State == state || state == "live" && (v.State == "making" || v.State == "ready")
}

func (v storage) servers() string {
	var all []string
	for _, use := range v.Uses {
		name := use.User + "/" + use.Server
		if use.Active {
			name += " (active)"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

func volumeVerbs() []verb {
	return []verb{
		{"list", "", 0, 0, "list volumes: of everybody, for administrators, or of one user", prepareVolumeList},
		{"show", "ID", 1, 1, "tell about a volume", prepareVolumeShow},
		{"delete", "ID...", 1, -1, "give volumes up; their retention says when their files are deleted", prepareVolumeDelete},
		{"restore", "ID...", 1, -1, "take back volumes that were given up", prepareVolumeRestore},
		{"keep", "ID...", 1, -1, "put off the deletion of volumes that were given up, until an administrator deletes them", plain(keepVolumes)},
		{"change", "ID", 1, 1, "give a volume another owner or name; this takes it back, too", prepareVolumeChange},
	}
}

// volumesOf is the option by which users look after their own volumes, for which they need no administrator.
func volumesOf(fs *flag.FlagSet) func(id ...string) string {
	user := fs.String("user", "", "one that this user's servers mount; default: any, for administrators")
	return func(id ...string) string {
		if *user != "" {
			return restclient.Path(append([]string{"users", *user, "volumes"}, id...)...)
		}
		return restclient.Path(append([]string{"volumes"}, id...)...)
	}
}

func prepareVolumeList(fs *flag.FlagSet) action {
	path := volumesOf(fs)
	state := fs.String("state", "", "only those that are live, making, ready, released or deleting")
	return func(ctx context.Context, r *remote, _ []string) error {
		query := url.Values{}
		if *state != "" {
			query.Set("state", *state)
		}
		raw, volumes, err := list[storage](ctx, r, path(), query)
		if err != nil {
			return err
		}
		kept := slices.Collect(func(yield func(int) bool) { // of one user the API tells all
			for i, v := range volumes {
				if v.isIn(*state) && !yield(i) {
					return
				}
			}
		})
		if r.json {
			shown := make([]any, len(kept))
			for i, at := range kept {
				shown[i] = raw[at]
			}
			return r.printJSON(shown)
		}
		rows := make([][]string, len(kept))
		for i, at := range kept {
			v := volumes[at]
			rows[i] = []string{v.ID, v.Name, v.belongs(), v.State, v.Node, v.LastUsed.String(), v.DeleteAfter.String()}
		}
		return r.table([]string{"ID", "NAME", "OF", "STATE", "ON", "LAST USED", "DELETED AFTER"}, rows)
	}
}

func prepareVolumeShow(fs *flag.FlagSet) action {
	path := volumesOf(fs)
	return func(ctx context.Context, r *remote, args []string) error {
		var v storage
		raw, err := r.get(ctx, path(args[0]), &v)
		if err != nil || r.json {
			return r.orJSON(raw, err)
		}
		size := ""
		if v.CapacityMB > 0 {
			size = strconv.FormatInt(v.CapacityMB, 10) + " MiB"
		}
		return r.facts([2]string{"volume", v.ID}, [2]string{"name", v.Name}, [2]string{"of", v.belongs()}, [2]string{"state", v.State},
			[2]string{"what becomes of it", v.Fate}, [2]string{"note", v.Note}, [2]string{"type", v.Type}, [2]string{"source", v.Source}, [2]string{"on", v.Node},
			[2]string{"size", size}, [2]string{"last used", v.LastUsed.String()}, [2]string{"servers", v.servers()})
	}
}

func prepareVolumeDelete(fs *flag.FlagSet) action {
	path := volumesOf(fs)
	now := fs.Bool("now", false, "delete the files at once, whatever the retention; administrators only, and nobody can take them back")
	return func(ctx context.Context, r *remote, ids []string) error {
		var body any
		if *now {
			if strings.HasPrefix(path(), "/users/") {
				return misused("-now is for administrators, without -user")
			}
			body = map[string]any{"now": true}
		}
		return r.eachVolume(ids, func(id string) (storage, []byte, error) {
			var v storage
			raw, err := r.call(ctx, http.MethodDelete, path(id), body, &v)
			return v, raw, err
		})
	}
}

func prepareVolumeRestore(fs *flag.FlagSet) action {
	path := volumesOf(fs)
	return func(ctx context.Context, r *remote, ids []string) error {
		return r.eachVolume(ids, func(id string) (storage, []byte, error) {
			var v storage
			raw, err := r.call(ctx, http.MethodPost, path(id, "restore"), nil, &v)
			return v, raw, err
		})
	}
}

func keepVolumes(ctx context.Context, r *remote, ids []string) error {
	return r.eachVolume(ids, func(id string) (storage, []byte, error) {
		var v storage
		raw, err := r.call(ctx, http.MethodPost, restclient.Path("volumes", id, "keep"), nil, &v)
		return v, raw, err
	})
}

// eachVolume does something to one after the other, and tells what became of each.
func (r *remote) eachVolume(ids []string, do func(id string) (storage, []byte, error)) error {
	for _, id := range ids {
		v, raw, err := do(id)
		if err != nil {
			return about("volume "+id, err)
		}
		if err := r.done(raw, "volume %s of %s: %s", v.Name, v.belongs(), cmp.Or(v.Fate, v.State)); err != nil {
			return err
		}
	}
	return nil
}

func prepareVolumeChange(fs *flag.FlagSet) action {
	given := map[string]*string{
		"user": fs.String("owner", "", "the user whose it shall be"), "server": fs.String("server", "", "the server of that user, for a volume of one server"),
		"name": fs.String("name", "", "what profiles call it"),
	}
	return func(ctx context.Context, r *remote, args []string) error {
		body := map[string]string{}
		fs.Visit(func(f *flag.Flag) {
			key := f.Name
			if key == "owner" {
				key = "user"
			}
			if value, ok := given[key]; ok {
				body[key] = *value
			}
		})
		if len(body) == 0 {
			return misused("say what to change: -owner USER, -server SERVER or -name NAME")
		}
		var v storage
		raw, err := r.call(ctx, http.MethodPatch, restclient.Path("volumes", args[0]), body, &v)
		if err != nil {
			return err
		}
		return r.done(raw, "%s", fmt.Sprintf("volume %s is of %s now", v.Name, v.belongs()))
	}
}
