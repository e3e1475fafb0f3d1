package web_test

import (
	"net/http"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestMainJob is a person's day: log in, start the server, watch it, open it, stop it, log out.
func TestMainJob(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(s *setup) { s.pages.HomeFirst = true })
	b.runServers()
	v := b.visit()

	v.get("/").want(http.StatusFound).to("/hub/")
	v.get("/hub/").want(http.StatusFound).to("/hub/login?next=%2Fhub%2F")
	v.login("alice", "/hub/").to("/hub/")
	home := v.follow(v.get("/hub/")).want(http.StatusOK).says("My server").says("Not running")

	pending := v.submit(home.form("start"), nil).want(http.StatusFound).to("/hub/spawn-pending/alice")
	b.await("alice", "", hub.Ready)
	v.get(pending.location).want(http.StatusFound).to("/user/alice/")
	if a := v.get("/user/alice/lab"); a.body != "notebook at /user/alice/lab" {
		t.Fatalf("the server is not reached: %d %s", a.status, a.body)
	}

	home = v.get("/hub/home").want(http.StatusOK).says("Running")
	v.submit(home.form("stop"), nil).want(http.StatusSeeOther).to("/hub/home")
	b.await("alice", "", hub.Stopped)
	v.get("/hub/home").want(http.StatusOK).says("Not running")

	v.get("/hub/logout").want(http.StatusFound).to("/hub/login")
	v.get("/hub/home").want(http.StatusFound).to("/hub/login?next=%2Fhub%2Fhome")
}
