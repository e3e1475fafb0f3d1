package hub_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// menu is a set of profiles by name, from the smallest to the largest. The option "image" may be one of two.
type menu []profile.Resolved

func (m menu) Forms(profile.User, profile.Server) []profile.Form {
	var forms []profile.Form
	for i, r := range m {
		forms = append(forms, profile.Form{Name: r.Profile, DisplayName: r.DisplayName, Default: i == 0, Resources: r.Resources, Pool: r.Workload.Placement.NodePool})
	}
	return forms
}

type menuOptions struct {
	Profile string `json:"profile"`
	Image   string `json:"image"`
}

func (m menu) Resolve(u profile.User, _ profile.Server, options json.RawMessage) (profile.Resolved, error) {
	o := menuOptions{Profile: m[0].Profile, Image: "lab"}
	if options != nil {
		if err := json.Unmarshal(options, &o); err != nil {
			return profile.Resolved{}, &profile.InvalidError{Reason: "The options are not what they should be."}
		}
	}
	i := slices.IndexFunc(m, func(r profile.Resolved) bool { return r.Profile == o.Profile })
	if i < 0 {
		return profile.Resolved{}, &profile.InvalidError{Field: "profile", Reason: "There is no such profile."}
	}
	if o.Image != "lab" && o.Image != "r" {
		return profile.Resolved{}, &profile.InvalidError{Field: "image", Reason: "The image is not among the choices."}
	}
	r := m[i]
	r.Workload.Image = o.Image + ":" + u.Name
	r.Options, _ = json.Marshal(o)
	return r, nil
}

func (m menu) Larger(_ profile.User, _ profile.Server, options json.RawMessage) (json.RawMessage, bool) {
	var o menuOptions
	if json.Unmarshal(options, &o) != nil {
		return nil, false
	}
	i := slices.IndexFunc(m, func(r profile.Resolved) bool { return r.Profile == o.Profile })
	if i < 0 || i+1 >= len(m) {
		return nil, false
	}
	o.Profile = m[i+1].Profile
	larger, err := json.Marshal(o)
	return larger, err == nil
}

func smallAndLarge() menu {
	return menu{
		{
			Profile: "small", Resources: scheduler.Resources{CPUGuarantee: 0.5, CPULimit: 2, MemoryMB: 512, MemoryMaxMB: 1024},
			Env: map[string]string{"COURSE": "physics"}, DefaultURL: "/lab", NotebookDir: "/home/work",
		},
		{
			Profile: "large", Resources: scheduler.Resources{Cores: 4, MemoryMB: 8192, Devices: []scheduler.Device{{Name: "nvidia/gpu", Count: 2}}},
			Workload:  scheduler.Workload{Driver: "docker", Placement: scheduler.Placement{NodePool: "gpu"}},
			IdleAfter: time.Hour, MaxAge: 9 * time.Hour,
		},
	}
}

func withMenu(o *hub.Options) { o.Profiles = smallAndLarge() }

func (b *bench) startWith(user, server, options string) (hub.Server, error) {
	b.t.Helper()
	return b.hub.StartServer(b.t.Context(), user, server, json.RawMessage(options))
}

func TestAChoiceReachesTheScheduler(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.placeAt(notebook(t))
	b.login("alice")
	s, err := b.startWith("alice", "", `{"profile": "large", "image": "r"}`)
	if err != nil {
		t.Fatal(err)
	}
	ready := b.awaitState(s.ID, hub.Ready)
	if ready.Profile != "large" || string(ready.Options) != `{"profile":"large","image":"r"}` || ready.IdleAfter != time.Hour || ready.MaxAge != 9*time.Hour {
		t.Errorf("the row says profile %q, options %s, %v, %v", ready.Profile, ready.Options, ready.IdleAfter, ready.MaxAge)
	}
	if h := ready.Held; h == nil || h.Cores != 4 || h.MemoryMB != 8192 || h.Pool != "gpu" || h.Image != "r:alice" || h.Devices["nvidia/gpu"] != 2 {
		t.Errorf("it holds %+v", h)
	}
	spec, _ := b.fake.Spec(s.ID)
	if spec.Workload.Image != "r:alice" || spec.Workload.Driver != "docker" || spec.Resources.Cores != 4 || spec.Env["CPU_LIMIT"] != "4" ||
		spec.Env["MEM_LIMIT"] != "8589934592" {
		t.Errorf("the scheduler was handed %+v", spec)
	}
	b.stopAndWait(s)

	again := b.start("alice", "") // without options: what was chosen last
	b.awaitState(again.ID, hub.Ready)
	if again.Profile != "large" || string(again.Options) != string(ready.Options) {
		t.Errorf("the next start has profile %q, options %s", again.Profile, again.Options)
	}
}

func (b *bench) stopAndWait(s hub.Server) hub.Server {
	b.t.Helper()
	if _, err := b.hub.StopServer(b.t.Context(), s.UserName, s.Name, false); err != nil {
		b.t.Fatal(err)
	}
	return b.awaitState(s.ID, hub.Stopped)
}

func TestWhatAProfileSaysIsInTheEnvironment(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu, func(o *hub.Options) { o.Notebook.Env = map[string]string{"COURSE": "none", "SITE": "north"} })
	b.login("alice")
	s := b.start("alice", "")
	b.awaitSpec(s.ID)
	spec, _ := b.fake.Spec(s.ID)
	for name, want := range map[string]string{
		"COURSE": "physics", "SITE": "north", "MEM_LIMIT": "1073741824", "MEM_GUARANTEE": "536870912", "CPU_LIMIT": "2", "CPU_GUARANTEE": "0.5",
		"JUPYTERHUB_DEFAULT_URL": "/lab", "JUPYTERHUB_ROOT_DIR": "/home/work",
	} {
		if spec.Env[name] != want {
			t.Errorf("%s is %q, want %q", name, spec.Env[name], want)
		}
	}
}

// awaitSpec waits until the scheduler was handed the server.
func (b *bench) awaitSpec(id string) {
	b.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		if _, ok := b.fake.Spec(id); ok {
			return
		}
		select {
		case <-deadline:
			b.t.Fatal("the scheduler was not handed the server")
		case <-tick.C:
		}
	}
}

func TestAWrongChoiceIsRefusedByName(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.login("alice")
	for options, field := range map[string]string{
		`{"profile": "huge"}`:                   "profile",
		`{"profile": "small", "image": "evil"}`: "image",
	} {
		_, err := b.startWith("alice", "", options)
		if hub.KindOf(err) != hub.Invalid || !strings.Contains(err.Error(), field) {
			t.Errorf("%s gives %v", options, err)
		}
	}
	if s, err := b.hub.Server(t.Context(), "alice", ""); err != nil || s.ID != "" {
		t.Errorf("a refused start left %+v, %v", s, err)
	}
}

func TestOtherProfilesHoldFromTheNextStart(t *testing.T) {
	t.Parallel()
	b := newBench(t, withMenu)
	b.placeAt(notebook(t))
	b.login("alice")
	s, err := b.startWith("alice", "", `{"profile": "large"}`)
	if err != nil {
		t.Fatal(err)
	}
	b.awaitState(s.ID, hub.Ready)
	b.hub.SetProfiles(menu{{Profile: "only", Resources: scheduler.Resources{MemoryMB: 100}}})
	if forms, err := b.hub.Forms(t.Context(), "alice", ""); err != nil || len(forms) != 1 || forms[0].Name != "only" {
		t.Errorf("the forms are %+v, %v", forms, err)
	}
	if got, err := b.hub.Server(t.Context(), "alice", ""); err != nil || got.State != hub.Ready || got.Profile != "large" {
		t.Errorf("the running server is %+v, %v", got, err)
	}
	b.stopAndWait(s)
	if _, err := b.hub.StartServer(t.Context(), "alice", "", nil); hub.KindOf(err) != hub.Invalid {
		t.Errorf("the last choice is gone, and its start gives %v", err)
	}
	if s, err = b.startWith("alice", "", `{"profile": "only"}`); err != nil || s.Profile != "only" {
		t.Errorf("the new choice gives %+v, %v", s, err)
	}
	b.hub.SetProfiles(nil)
	if forms, err := b.hub.Forms(t.Context(), "alice", ""); err != nil || forms != nil {
		t.Errorf("without profiles the forms are %+v, %v", forms, err)
	}
}

// broken has a profile that the operator wrote wrong.
type broken struct{ menu }

func (broken) Resolve(profile.User, profile.Server, json.RawMessage) (profile.Resolved, error) {
	return profile.Resolved{}, &profile.BrokenError{Profile: "small", Err: errors.New("hub.hcl, line 7: no such group")}
}

func TestABrokenProfileIsNotTheFaultOfWhoChoseIt(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *hub.Options) { o.Profiles = broken{smallAndLarge()} })
	b.login("alice")
	_, err := b.startWith("alice", "", `{}`)
	told, ok := errors.AsType[*hub.Error](err)
	if !ok || told.Kind != hub.Unavailable || !strings.Contains(told.Message, "Tell an administrator") || strings.Contains(told.Message, "hub.hcl") {
		t.Errorf("told %v", err)
	}
	if !strings.Contains(err.Error(), "hub.hcl, line 7") {
		t.Errorf("the log would not say where the mistake is: %v", err)
	}
}
