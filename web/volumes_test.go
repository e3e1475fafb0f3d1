package web_test

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

// menuWithHome is menu with a home for each user, and a folder of all.
type menuWithHome struct{ menu }

func (m menuWithHome) Resolve(u profile.User, s profile.Server, options json.RawMessage) (profile.Resolved, error) {
	r, err := m.menu.Resolve(u, s, options)
	for name, share := range map[string]profile.Share{"home": profile.ShareUser, "everybodys": profile.ShareAll} {
		r.Volumes = append(r.Volumes, profile.Claim{
			Name: name, Share: share, Retain: profile.RetainGrace, Grace: 72 * time.Hour, Volume: scheduler.Volume{Kind: scheduler.MountDynamic},
			Mount: scheduler.Mount{Name: name, Kind: scheduler.MountDynamic, Path: "/" + name},
		})
	}
	return r, err
}

// TestDeletingAUserTellsOfTheirFiles: before and not after.
func TestDeletingAUserTellsOfTheirFiles(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) { s.hub.Profiles = menuWithHome{} })
	b.runServers()
	b.loggedIn("alice")
	_, err := b.hub.StartServer(t.Context(), "alice", "", nil)
	check(t, err)
	b.await("alice", "", hub.Ready)
	_, err = b.hub.StopServer(t.Context(), "alice", "", false)
	check(t, err)
	b.await("alice", "", hub.Stopped)
	admin := b.loggedIn("admin")
	page := admin.get("/hub/admin/users/alice/delete").want(http.StatusOK).says("home").says("on fake-node: When its user is deleted, it can be taken back for 3 days and is deleted then.")
	if strings.Contains(page.text(), "everybodys") {
		t.Error("the page speaks of what is not the user's alone")
	}
	b.loggedIn("bob")
	admin.get("/hub/admin/users/bob/delete").want(http.StatusOK).says("Files on the machines stay as they are.")
}
