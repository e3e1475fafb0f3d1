package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
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

// TestAdministratorsLookAfterVolumes: those that users have, and those that users who were deleted have left.
func TestAdministratorsLookAfterVolumes(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) { s.hub.Profiles = menuWithHome{} })
	b.runServers()
	alice := b.loggedIn("alice")
	_, err := b.hub.StartServer(t.Context(), "alice", "", nil)
	check(t, err)
	b.await("alice", "", hub.Ready)
	admin := b.loggedIn("admin")
	if to := b.volumeURL(t, "home"); alice.get(to).status != http.StatusForbidden || alice.get("/hub/admin/volumes").status != http.StatusForbidden {
		t.Error("a user sees the administrators' volumes")
	}
	admin.get("/hub/admin").want(http.StatusOK).says("Volumes")
	admin.get("/hub/admin/volumes").want(http.StatusOK).says("home of alice").says("everybodys of everybody").says("ready, in use")
	at := b.volumeURL(t, "home")
	used := admin.get(at).want(http.StatusOK).says("Servers that mount it: alice (active).")
	if used.has("delete") || used.has("release") {
		t.Error("a volume in use can be deleted")
	}
	xsrf := url.Values{"_xsrf": admin.get("/hub/token").form("create").fields["_xsrf"], "sure": {"yes"}}
	admin.post(at+"/delete", xsrf).want(http.StatusBadRequest).says("The volume is in use by the server of alice.")
	admin.post(at+"/paint", xsrf).want(http.StatusNotFound)

	_, err = b.hub.StopServer(t.Context(), "alice", "", false)
	check(t, err)
	b.await("alice", "", hub.Stopped)
	check(t, b.hub.DeleteUser(t.Context(), "alice"))
	admin.get("/hub/admin/volumes?owner=alice").want(http.StatusOK).says("There is no user named alice.")
	admin.get("/hub/admin/volumes?show=released").want(http.StatusOK).says("home of alice").says("given up deleted in")
	page := admin.get(at).want(http.StatusOK).says("can be taken back until then")
	admin.submit(formTo(t, page, at+"/keep"), nil).want(http.StatusSeeOther).to(at)
	page = admin.get(at).want(http.StatusOK).says("It is kept until an administrator deletes it.")
	if page.says("The user alice was deleted."); page.has("restore") {
		t.Error("it can be given back to a user who was deleted")
	}
	admin.post(at+"/restore", xsrf).want(http.StatusBadRequest).says("The user alice, whose volume this was, is gone")
	b.loggedIn("bob")
	admin.submit(formTo(t, page, at+"/give"), url.Values{"owner": {"nobody"}}).want(http.StatusBadRequest).says(`There is no user named "nobody".`)
	admin.submit(formTo(t, page, at+"/give"), url.Values{"owner": {"bob"}}).want(http.StatusSeeOther).to(at)
	page = admin.get(at).want(http.StatusOK).says("home of bob")
	admin.get("/hub/admin/volumes?owner=bob&show=live").want(http.StatusOK).says("home of bob")
	admin.submit(formTo(t, page, at+"/release"), nil).want(http.StatusSeeOther).to(at)
	page = admin.get(at).want(http.StatusOK)
	admin.submit(formTo(t, page, at+"/restore"), nil).want(http.StatusSeeOther).to(at)
	sure := formTo(t, page, at+"/delete")
	admin.post(at+"/delete", url.Values{"_xsrf": sure.fields["_xsrf"]}).want(http.StatusBadRequest).says("Say that you are sure")
	admin.submit(sure, nil).want(http.StatusSeeOther).to("/hub/admin/volumes")
	again, deadline := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer again.Stop()
	for admin.get(at).status != http.StatusNotFound {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("the volume is there still")
		}
	}
}

// volumeURL is the administrators' page of the volume of that name.
func (b *bench) volumeURL(t *testing.T, name string) string {
	t.Helper()
	list, _, err := b.hub.Volumes(t.Context(), hub.VolumeQuery{})
	check(t, err)
	for _, v := range list {
		if v.Name == name {
			return "/hub/admin/volumes/" + v.ID
		}
	}
	t.Fatalf("there is no volume %s", name)
	return ""
}
