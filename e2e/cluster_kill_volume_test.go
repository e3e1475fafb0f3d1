package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// testKilled kills the hub without warning while it makes sure of somebody's volume, and while it starts a server again with another choice. The next hub goes on,
// with one job and one volume.
func (l *notebookLife) testKilled(t *testing.T) {
	l.execNode(t, "killed")
	_, account := accounts(t)
	profiles := strings.Replace(fmt.Sprintf(homely, account.Uid, account.Gid), `"homes"`, `"killed"`, 1)
	c := l.hub(t, "killed", setup{notebook: homeServer, driver: "exec", more: profiles}, "")
	t.Cleanup(func() { c.deleteVolumes(t) })
	c.binary = failpoints.binary(t)
	for _, point := range []string{"before-volumes", "after-volumes"} { // F01
		c.killedAtVolume(t, point)
	}
	person := login(t, c.URL, "ada")
	c.up(t, "ada/server", `{"profile":"small"}`)
	for i, point := range []string{"after-row", "before-start", "after-start"} { // F01 and F02 in one
		c.killedAtRestart(t, person, point, []string{"large", "small"}[i%2])
	}
	c.down(t, "ada/server")
	c.nothingLeft(t)
}

// killedAtVolume kills the hub at the point of the start of a new user.
func (c *child) killedAtVolume(t *testing.T, point string) {
	t.Helper()
	c.must(t, http.MethodPost, "/users/"+point, http.StatusCreated)
	c.again("NOMADHUB_FAILPOINT=start." + point)
	if got, err := c.ask(t.Context(), http.MethodPost, "/users/"+point+"/server", `{"profile":"small"}`); err == nil && got.status >= http.StatusBadRequest {
		t.Fatalf("%s: the start is refused: %d %s", point, got.status, got.body)
	}
	c.awaitKilled(t)
	c.again()
	s := c.awaitDetail(t, "is ready", point+"/server", func(s serverDetail) bool { return s.Ready })
	if job := c.oneJob(t, s.State.ID); version(job) != "0" || s.State.Generation != 1 {
		t.Errorf("%s: the job has version %s, the server generation %d", point, version(job), s.State.Generation)
	}
	if said := c.tell(t, point, "write", "file", "notes", "text", "kept"); said.User != point {
		t.Errorf("%s: the server is %+v", point, said)
	}
	c.oneVolume(t, point)
	c.down(t, point+"/server")
	c.nothingLeft(t)
}

// killedAtRestart kills the hub at the point of a restart with another profile, of ada's server, which runs.
func (c *child) killedAtRestart(t *testing.T, person *http.Client, point, profile string) {
	t.Helper()
	before := c.awaitDetail(t, "is ready", "ada/server", func(s serverDetail) bool { return s.Ready })
	volume := c.oneVolume(t, "ada")
	c.tell(t, "ada", "write", "file", "notes", "text", "before "+point)
	c.again("NOMADHUB_FAILPOINT=restart." + point)
	field := xsrfPattern.FindStringSubmatch(read(t, person, http.MethodGet, c.URL+"/hub/restart/ada", nil))
	if field == nil {
		t.Fatal("the form of the restart has no page token")
	}
	form := url.Values{"_xsrf": {field[1]}, "profile": {profile}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+"/hub/restart/ada", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err := person.Do(req); err == nil { // it may die first
		_ = res.Body.Close()
		if res.StatusCode >= http.StatusInternalServerError {
			t.Errorf("restart.%s: the form is answered with %s", point, res.Status)
		}
	}
	c.awaitKilled(t)
	c.again()
	after := c.awaitDetail(t, "is ready again", "ada/server", func(s serverDetail) bool { return s.Ready && s.State.Generation > before.State.Generation })
	if c.oneJob(t, after.State.ID); after.State.Generation != before.State.Generation+1 || after.State.ID != before.State.ID {
		t.Errorf("restart.%s: the server was %+v, and is %+v", point, before, after)
	}
	limit := map[string]string{"small": "67108864", "large": "268435456"}[profile]
	if said := c.tell(t, "ada", "read", "file", "notes"); said.Limit != limit || said.Text != "before "+point {
		t.Errorf("restart.%s: the server started again says %+v, and its limit should be %s", point, said, limit)
	}
	if now := c.oneVolume(t, "ada"); now.ID != volume.ID || now.hostPath != volume.hostPath {
		t.Errorf("restart.%s: the home was %+v and is %+v", point, volume, now)
	}
}

// oneVolume is the only volume that the user has.
func (c *child) oneVolume(t *testing.T, user string) volumeDetail {
	t.Helper()
	count := 0
	for _, v := range c.volumes(t) {
		if v.User == user {
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%s has %d volumes", user, count)
	}
	return c.volume(t, func(v volumeDetail) bool { return v.User == user })
}
