package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// menu is a choice of two profiles, the second of which only some may have.
type menu struct{}

func (menu) Forms(u profile.User, _ profile.Server) []profile.Form {
	forms := []profile.Form{{
		Name: "small", DisplayName: "Small", Description: "For <b>most</b> work", Default: true, Image: "lab:1",
		Resources: scheduler.Resources{CPULimit: 1.5, CPUGuarantee: 0.5, MemoryMB: 512, MemoryMaxMB: 2048},
		Fields: []profile.Field{
			{Name: "size", DisplayName: "Size", Kind: profile.FieldNumber, Min: 1, Max: 8, Step: 1, Unit: "GB", Default: "2"},
			{Name: "flavour", DisplayName: "Flavour", Kind: profile.FieldChoice, Default: "r", Choices: []profile.Choice{
				{Name: "py", DisplayName: "Python"}, {Name: "r", DisplayName: "R", Description: "with Shiny"},
			}},
			{Name: "debug", DisplayName: "Debug", Kind: profile.FieldBool, Default: "false"},
			{Name: "branch", DisplayName: "Branch", Kind: profile.FieldText, Pattern: "[a-z]+", Hint: "Small letters.", Default: "main"},
		},
	}}
	if slices.Contains(u.Groups, "gpu") || u.Admin {
		forms = append(forms, profile.Form{
			Name: "gpu", DisplayName: "GPU", Icon: "chip", Resources: scheduler.Resources{Cores: 4, MemoryMB: 65536, Devices: []scheduler.Device{{Name: "nvidia/gpu", Count: 1}}},
		})
	}
	return forms
}

func (m menu) Resolve(u profile.User, s profile.Server, options json.RawMessage) (profile.Resolved, error) {
	given := map[string]any{}
	if options != nil {
		if err := json.Unmarshal(options, &given); err != nil {
			return profile.Resolved{}, err
		}
	}
	first := func(name, otherwise string) string {
		if list, ok := given[name].([]any); ok && len(list) > 0 {
			return list[0].(string)
		}
		if text, ok := given[name].(string); ok {
			return text
		}
		return otherwise
	}
	name := first("profile", "small")
	if !slices.ContainsFunc(m.Forms(u, s), func(f profile.Form) bool { return f.Name == name }) {
		return profile.Resolved{}, &profile.InvalidError{Field: "profile", Reason: "There is no profile of that name for you."}
	}
	if branch := first("branch", "main"); strings.ToLower(branch) != branch {
		return profile.Resolved{}, &profile.InvalidError{Field: "branch", Reason: "It needs small letters."}
	}
	kept, err := json.Marshal(map[string]string{
		"profile": name, "size": first("size", "2"), "flavour": first("flavour", "r"), "debug": first("debug", "false"), "branch": first("branch", "main"),
	})
	resolved := profile.Resolved{Profile: name, Options: kept}
	if name == "gpu" {
		resolved.Resources = scheduler.Resources{Cores: 4, MemoryMB: 65536}
	}
	return resolved, err
}

func (menu) Larger(profile.User, profile.Server, json.RawMessage) (json.RawMessage, bool) {
	return json.RawMessage(`{"profile":"gpu"}`), true
}

func withMenu(s *setup) { s.hub.Profiles, s.pages.HomeFirst = menu{}, true }

// TestChoice is a person who chooses, starts, comes back, and finds what they chose.
func TestChoice(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.runServers()
	v := b.loggedIn("alice")
	home := v.get("/hub/home").want(http.StatusOK).says("Choose and start my server")
	form := v.get(home.href("choose")).want(http.StatusOK).says("Choose your server").says("0.5 cores guaranteed").says("up to 2 GB of memory").says("lab:1")
	for _, fault := range faults(form) {
		t.Error(fault)
	}
	if strings.Contains(form.body, "GPU") || strings.Contains(form.body, "<b>most</b>") {
		t.Error("a profile is shown to whom it is not for, or its description is not text")
	}
	v.submit(form.form("start"), url.Values{"small--size": {"4"}, "small--debug": {"false", "true"}, "gpu--size": {"9"}}).want(http.StatusFound).to("/hub/spawn-pending/alice")
	s := b.await("alice", "", hub.Ready)
	if want := `{"branch":"main","debug":"true","flavour":"r","profile":"small","size":"4"}`; string(s.Options) != want || s.Profile != "small" {
		t.Errorf("got options %s of profile %q, want %s", s.Options, s.Profile, want)
	}
	v.submit(v.get("/hub/home").form("stop"), nil)
	b.await("alice", "", hub.Stopped)

	form = v.get("/hub/spawn/alice")
	if got := form.form("start").Get("small--size"); got != "4" {
		t.Errorf("the last size is not remembered: %q", got)
	}
	form = v.get("/hub/spawn/alice?profile=small&size=99&flavour=py&branch=dev")
	for field, want := range map[string]string{"small--size": "2", "small--flavour": "py", "small--branch": "dev"} {
		if got := form.form("start").Get(field); got != want {
			t.Errorf("a link fills %s with %q, want %q", field, got, want)
		}
	}
	again := v.submit(form.form("start"), url.Values{"small--branch": {"MAIN<script>"}}).want(http.StatusBadRequest).says("It needs small letters.")
	if got := again.form("start").Get("small--branch"); got != "MAIN<script>" {
		t.Errorf("what was typed is lost: %q", got)
	}
	if s := b.await("alice", "", hub.Stopped); s.Generation != 1 {
		t.Errorf("a refused choice began generation %d", s.Generation)
	}
}

// TestChoiceOfOther sends what the form does not offer.
func TestChoiceOfOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.runServers()
	v := b.loggedIn("alice")
	form := v.get("/hub/spawn/alice").want(http.StatusOK)
	v.submit(form.form("start"), url.Values{"profile": {"gpu"}}).want(http.StatusBadRequest).says("There is no profile of that name for you.")
	admin := b.loggedIn("admin")
	admin.get("/hub/spawn/admin?profile=gpu").want(http.StatusOK).says("4 cores for you alone").says("1 × nvidia/gpu").says("64 GB of memory")
}

// TestRestartWithAnotherChoice opens the form while the server runs.
func TestRestartWithAnotherChoice(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.runServers()
	v := b.loggedIn("alice")
	v.get("/hub/restart/alice").want(http.StatusFound).to("/hub/spawn/alice")
	v.submit(v.get("/hub/spawn/alice").form("start"), url.Values{"small--size": {"3"}})
	b.await("alice", "", hub.Ready)

	form := v.get(v.get("/hub/home").want(http.StatusOK).href("restart")).want(http.StatusOK).says("Restart with another choice")
	for _, fault := range faults(form) {
		t.Error(fault)
	}
	if got := form.form("start").Get("small--size"); got != "3" {
		t.Errorf("what runs is not what stands in the form: %q", got)
	}
	v.submit(form.form("start"), url.Values{"profile": {"gpu"}}).want(http.StatusBadRequest).says("There is no profile of that name for you.")
	if s := b.await("alice", "", hub.Ready); s.Generation != 1 {
		t.Fatalf("a refused choice ended the server: generation %d", s.Generation)
	}
	v.submit(form.form("start"), url.Values{"small--size": {"6"}}).want(http.StatusSeeOther).to("/hub/spawn-pending/alice")
	b.awaitRun("alice", 2)
	if s := b.await("alice", "", hub.Ready); !strings.Contains(string(s.Options), `"size":"6"`) {
		t.Errorf("it runs with %s", s.Options)
	}
	stranger := b.loggedIn("bob")
	stranger.get("/hub/restart/alice").want(http.StatusNotFound)
	stranger.get("/hub/server/alice").want(http.StatusNotFound)
	stranger.with("Sec-Fetch-Site", "cross-site").post("/hub/restart/alice", url.Values{"profile": {"small"}}).want(http.StatusForbidden)
}

// awaitRun waits until the user's default server is ready in that generation.
func (b *bench) awaitRun(user string, generation int64) {
	b.t.Helper()
	b.awaitThat(user, func(s hub.Server) bool { return s.Generation == generation && s.State == hub.Ready })
}

// TestDetails shows what runs, to its owner and to administrators.
func TestDetails(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.runServers()
	v := b.loggedIn("alice")
	v.submit(v.get("/hub/spawn/alice").form("start"), nil)
	b.await("alice", "", hub.Ready)
	page := v.get(v.get("/hub/home").href("details")).want(http.StatusOK).says("My server").says("small").says("Its log")
	for _, fault := range faults(page) {
		t.Error(fault)
	}
	b.loggedIn("admin").get("/hub/server/alice").want(http.StatusOK).says("Server of alice")
}

// TestNotices shows what the owner of a running server should know, and lets them answer.
func TestNotices(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.runServers()
	v := b.loggedIn("alice")
	v.submit(v.get("/hub/spawn/alice").form("start"), nil)
	s := b.await("alice", "", hub.Ready)
	b.fake.Drain(s.ID, time.Now().Add(time.Hour))
	b.awaitThat("alice", func(s hub.Server) bool { return s.Notice != nil })
	home := v.get("/hub/home").want(http.StatusOK).says("Its machine is being emptied")
	v.submit(home.form("move"), nil).want(http.StatusSeeOther).to("/hub/spawn-pending/alice")
	b.awaitRun("alice", 2)
	if s := b.await("alice", "", hub.Ready); s.Notice != nil {
		t.Errorf("after the move it says %+v", s.Notice)
	}
	b.fake.Lose(s.ID, true)
	b.awaitThat("alice", func(s hub.Server) bool { return s.Notice != nil && s.Notice.Kind == hub.NoticeLost })
	token := url.Values{"_xsrf": {v.get("/hub/home").want(http.StatusOK).form("stop").Get("_xsrf")}}
	v.post("/hub/move/alice", token).want(http.StatusConflict).says("two would write to the same files")
	v.post("/hub/restart/alice", token).want(http.StatusConflict).says("two would write to the same files")
	if s := b.await("alice", "", hub.Ready); s.Generation != 2 {
		t.Errorf("a server that cannot be reached was moved: %+v", s)
	}
}
