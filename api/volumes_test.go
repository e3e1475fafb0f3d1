package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// homes is one profile whose servers mount a home of their user and a folder of everybody.
type homes struct{}

func (homes) Forms(profile.User, profile.Server) []profile.Form {
	return []profile.Form{{Name: "only", Default: true}}
}

func (homes) Resolve(profile.User, profile.Server, json.RawMessage) (profile.Resolved, error) {
	claim := func(name string, share profile.Share, retain profile.Retention) profile.Claim {
		return profile.Claim{
			Name: name, Share: share, Retain: retain, Grace: time.Hour, Volume: scheduler.Volume{Kind: scheduler.MountDynamic, MaxMB: 2048},
			Mount: scheduler.Mount{Name: name, Kind: scheduler.MountDynamic, Path: "/" + name},
		}
	}
	return profile.Resolved{Profile: "only", Volumes: []profile.Claim{
		claim("home", profile.ShareUser, profile.RetainGrace), claim("data", profile.ShareAll, profile.RetainKeep),
	}}, nil
}

func (homes) Larger(profile.User, profile.Server, json.RawMessage) (json.RawMessage, bool) {
	return nil, false
}

// volumesOf are a user's volumes by name.
func (b *bench) volumesOf(as, user string) map[string]map[string]any {
	b.t.Helper()
	byName := map[string]map[string]any{}
	for _, m := range b.as(as, http.MethodGet, "/users/"+user+"/volumes", "").want(http.StatusOK).list() {
		byName[m["name"].(string)] = m
	}
	return byName
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Hub.SetProfiles(homes{})
	s := b.Start("alice", "")
	b.Start("bob", "")
	home, data := b.volumesOf("alice", "alice")["home"], b.volumesOf("alice", "alice")["data"]
	same(t, "keys", keys(home), "capacity_mb created delete_after fate grace_seconds group id kind last_used name node note profile released retain server share source state type used_by user")
	same(t, "model", []any{home["kind"], home["type"], home["share"], home["user"], home["node"], home["state"], home["capacity_mb"], home["retain"], home["delete_after"], home["note"]},
		[]any{"volume", "dynamic", "user", "alice", "fake-node", "ready", 2048.0, "grace", nil, nil})
	same(t, "use", home["used_by"], any([]any{map[string]any{"user": "alice", "server": "", "active": true}}))
	same(t, "of what is shared, only the own use", data["used_by"], home["used_by"])

	one, shared := "/users/alice/volumes/"+home["id"].(string), "/users/alice/volumes/"+data["id"].(string)
	same(t, "one", b.as("alice", http.MethodGet, one, "").want(http.StatusOK).object(), home)
	b.as("bob", http.MethodGet, one, "").want(http.StatusNotFound)
	b.as("root", http.MethodGet, "/users/bob/volumes/"+home["id"].(string), "").want(http.StatusNotFound)
	b.as("alice", http.MethodGet, "/users/alice/volumes/unknown", "").want(http.StatusNotFound)
	b.as("alice", http.MethodDelete, one, "").want(http.StatusConflict)
	b.as("alice", http.MethodDelete, shared, "").want(http.StatusForbidden)
	b.as("alice", http.MethodGet, "/volumes", "").want(http.StatusForbidden)

	if _, err := b.Hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.Await(s.ID, hub.Stopped)
	given := b.as("alice", http.MethodDelete, one, `{"now": true}`).want(http.StatusOK).object()
	if given["state"] != "released" || given["delete_after"] == nil || !strings.Contains(given["fate"].(string), "can be taken back until then") {
		t.Errorf("a user who deletes a volume at once gets %v", given)
	}
	b.as("bob", http.MethodPost, one+"/restore", "").want(http.StatusNotFound)
	same(t, "taken back", b.as("alice", http.MethodPost, one+"/restore", "").want(http.StatusOK).object()["state"], any("ready"))
}

func TestVolumesForAdministrators(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Hub.SetProfiles(homes{})
	s := b.Start("alice", "")
	b.User("bob", false)
	id := b.volumesOf("root", "alice")["home"]["id"].(string)
	all := b.as("root", http.MethodGet, "/volumes?state=live", "").want(http.StatusOK).list()
	same(t, "how many", len(all), 2)
	b.as("root", http.MethodGet, "/volumes?state=lost", "").want(http.StatusBadRequest)
	paged := b.as("root", http.MethodGet, "/volumes?limit=1", "", "Accept", "application/jupyterhub-pagination+json").want(http.StatusOK).object()
	same(t, "a page", len(paged["items"].([]any)), 1)
	b.as("root", http.MethodGet, "/volumes/unknown", "").want(http.StatusNotFound)
	b.as("root", http.MethodPatch, "/volumes/"+id, `{"user": "bob"}`).want(http.StatusConflict) // in use

	if _, err := b.Hub.StopServer(t.Context(), "alice", "", false); err != nil {
		t.Fatal(err)
	}
	b.Await(s.ID, hub.Stopped)
	b.as("root", http.MethodPatch, "/volumes/"+id, `{}`).want(http.StatusBadRequest)
	b.as("root", http.MethodPatch, "/volumes/"+id, `{"user": "nobody"}`).want(http.StatusBadRequest)
	b.as("root", http.MethodPatch, "/volumes/"+id, `{"name": ""}`).want(http.StatusBadRequest)
	moved := b.as("root", http.MethodPatch, "/volumes/"+id, `{"user": "bob", "server": "gpu", "name": "old-home"}`).want(http.StatusOK).object()
	same(t, "moved", []any{moved["user"], moved["server"], moved["share"], moved["name"], moved["state"]}, []any{"bob", "gpu", "server", "old-home", "ready"})

	same(t, "given up", b.as("root", http.MethodDelete, "/volumes/"+id, "").want(http.StatusOK).object()["state"], any("released"))
	kept := b.as("root", http.MethodPost, "/volumes/"+id+"/keep", "").want(http.StatusOK).object()
	same(t, "kept", []any{kept["state"], kept["delete_after"], kept["fate"]}, []any{"released", nil, "It is kept until an administrator deletes it."})
	b.as("bob", http.MethodPost, "/volumes/"+id+"/keep", "").want(http.StatusForbidden)
	b.as("root", http.MethodPost, "/volumes/unknown/keep", "").want(http.StatusNotFound)
	same(t, "taken back", b.as("root", http.MethodPost, "/volumes/"+id+"/restore", "").want(http.StatusOK).object()["state"], any("ready"))
	b.as("root", http.MethodDelete, "/volumes/"+id, `{"now": true}`).want(http.StatusAccepted)
	b.Eventually("the volume to be gone", func() bool {
		_, err := b.Fake.VolumeByID(t.Context(), scheduler.MountDynamic, id)
		return err != nil && b.as("root", http.MethodGet, "/volumes/"+id, "").status == http.StatusNotFound
	})
}
