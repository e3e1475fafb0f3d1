package web_test

import (
	"net/http"
	"testing"

	"github.com/nomadhub/nomadhub/hub"
)

// TestServersAreCalledAsTheirOwnerSays shows what a server is called, with its name below, which its address has.
func TestServersAreCalledAsTheirOwnerSays(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.loggedIn("alice")
	u, err := b.hub.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.CreateServer(t.Context(), u, "lab", hub.ServerEdit{DisplayName: new("The <big> machine")}); err != nil {
		t.Fatal(err)
	}
	v.get("/hub/home").want(http.StatusOK).says("The <big> machine").says("lab")
	s, err := b.hub.ServerOf(t.Context(), u, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.hub.EditServer(t.Context(), u, s, hub.ServerEdit{DisplayName: new("Thesis")}); err != nil {
		t.Fatal(err)
	}
	v.get("/hub/home").want(http.StatusOK).says("My server Thesis")
}

// TestWhatIsBesideTheHubSaysItsVersion: servers and services compare it wherever they ask.
func TestWhatIsBesideTheHubSaysItsVersion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, a := range []answer{b.visit().get("/user/alice/lab"), b.visit().post("/user/alice/api/contents", nil)} {
		if got := a.header.Get("X-JupyterHub-Version"); got != hub.Version {
			t.Errorf("%d says the version %q", a.status, got)
		}
	}
}
