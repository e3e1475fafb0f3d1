package main

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/api"
	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/hub/cull"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// withHomes is one profile whose servers mount a home of their user, and a folder of everybody.
type withHomes struct{}

func (withHomes) Forms(profile.User, profile.Server) []profile.Form {
	return []profile.Form{{Name: "only", Default: true}}
}

func (withHomes) Resolve(profile.User, profile.Server, json.RawMessage) (profile.Resolved, error) {
	claim := func(name string, share profile.Share) profile.Claim {
		return profile.Claim{
			Name: name, Share: share, Retain: profile.RetainGrace, Grace: time.Hour, Volume: scheduler.Volume{Kind: scheduler.MountDynamic, MaxMB: 2048},
			Mount: scheduler.Mount{Name: name, Kind: scheduler.MountDynamic, Path: "/" + name},
		}
	}
	return profile.Resolved{Profile: "only", Volumes: []profile.Claim{claim("home", profile.ShareUser), claim("data", profile.ShareAll)}}, nil
}

func (withHomes) Larger(profile.User, profile.Server, json.RawMessage) (json.RawMessage, bool) {
	return nil, false
}

// volumes are what a command lists, by name.
func (s *shell) volumes(line ...string) map[string]storage {
	s.t.Helper()
	var all []storage
	if err := json.Unmarshal([]byte(s.run(append(line, "-json")...)), &all); err != nil {
		s.t.Fatal(err)
	}
	byName := map[string]storage{}
	for _, v := range all {
		byName[v.Name] = v
	}
	return byName
}

func TestVolumeCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	s.Hub.SetProfiles(withHomes{})
	ada, bob := s.User("ada", false), s.User("bob", false)
	s.run("server", "start", "ada")
	home, data := s.volumes("volume", "list")["home"], s.volumes("volume", "list", "-user", "ada")["data"]
	s.prints("ID NAME OF STATE ON LAST USED DELETED AFTER\n", "volume", "list", "-state", "released")
	s.prints(home.ID+" home ada ready fake-node ", "volume", "list", "-state", "live")
	s.prints("of everybody\n", "volume", "show", data.ID)
	s.prints("servers ada/ (active)\n", "volume", "show", home.ID)
	s.prints("size 2048 MiB\n", "volume", "show", home.ID)
	s.fails(1, "in use", "volume", "delete", home.ID)

	own := s.as(ada)
	own.fails(1, "admin:servers", "volume", "list")
	own.prints("ada ready fake-node", "volume", "list", "-user", "ada", "-state", "ready")
	if got := own.volumes("volume", "list", "-user", "ada", "-state", "released"); len(got) != 0 {
		t.Errorf("nothing is given up, and yet there are %v", got)
	}
	s.as(bob).fails(1, "There is no such thing", "volume", "show", home.ID, "-user", "ada")
	own.run("server", "stop", "ada")
	own.prints("volume home of ada: It will be deleted after ", "volume", "delete", home.ID, "-user", "ada")
	own.fails(1, "shared", "volume", "delete", data.ID, "-user", "ada")
	own.fails(2, "for administrators", "volume", "delete", home.ID, "-user", "ada", "-now")
	own.prints("volume home of ada: When its user is deleted", "volume", "restore", home.ID, "-user", "ada")

	s.run("volume", "delete", home.ID)
	s.prints("kept until an administrator deletes it", "volume", "keep", home.ID)
	s.fails(2, "say what to change", "volume", "change", home.ID)
	s.prints("volume old-home is of bob now\n", "volume", "change", home.ID, "-owner", "bob", "-name", "old-home")
	s.prints("state ready\n", "volume", "show", home.ID)
	s.prints("It is being deleted.", "volume", "delete", home.ID, "-now")
	eventually(t, "the volume is gone", func() bool { return len(s.volumes("volume", "list", "-user", "bob")) == 1 }) // that of everybody
	s.fails(1, "volume unknown: There is no such volume.", "volume", "restore", "unknown")
}

// ran writes a run of two hours into the ledger.
func (s *shell) ran(u hub.User, profile string, began time.Time) {
	s.t.Helper()
	r := hub.UsageRun{
		ID: u.ID + profile, ServerID: "s-" + u.ID, UserID: u.ID, UserName: u.Name, Profile: profile, Generation: 1, Instance: profile, MemoryMB: 2048, Cores: 1.5, Began: began,
	}
	if err := s.Store.OpenRun(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Store.CloseRun(s.t.Context(), r.Key(), began.Add(2*time.Hour), true, "It was stopped."); err != nil {
		s.t.Fatal(err)
	}
}

func TestUsageCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada, bob := s.User("ada", false), s.User("bob", false)
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s.ran(ada, "small", began)
	s.ran(bob, "small", began)
	s.ran(bob, "large", began.Add(time.Hour))
	march := []string{"-from", "2026-03-01", "-to", "2026-04-01"}
	in := func(line ...string) []string { return append(line, march...) }
	s.prints("USER RUNS TIME (h) MEMORY (GiB h) CPU (h) DEVICES (h)\n", in("usage", "list")...)
	s.prints("ada 1 2.0 4.0 3.0 0.0\n", in("usage", "list")...)
	s.prints("bob 2 4.0 8.0 6.0 0.0\n", in("usage", "list")...)
	s.prints("small 2 4.0 8.0 6.0 0.0\n", in("usage", "list", "-by", "profile")...)
	s.prints("ada (default) small ", in("usage", "runs")...)
	if got := s.run(in("usage", "runs", "-user", "ada")...); strings.Contains(got, "bob") || !strings.Contains(got, "It was stopped.") {
		t.Errorf("the runs of ada are\n%s", got)
	}
	if got := s.run("usage", "list", "-from", "2025-01-01", "-to", "2025-02-01", "-json"); got != "[]\n" {
		t.Errorf("nothing was used, and yet there is %q", got)
	}
	rows, err := csv.NewReader(strings.NewReader(s.run(in("usage", "export", "-by", "run")...))).ReadAll()
	if err != nil || len(rows) != 1+3 || rows[0][0] != "user" {
		t.Errorf("the table is %v, %v", rows, err)
	}
	s.as(ada).prints("ada 1 2.0", in("usage", "list")...)
	s.as(ada).fails(1, "There is no such thing", in("usage", "list", "-user", "bob")...)
	s.prints("LIMIT GROUP PERIOD LEVEL MEMORY (GiB h) CPU (h) DEVICES (h) BEGINS ANEW\n", "usage", "budgets", "ada")
	s.fails(1, "must be user, group, profile, run or all", "usage", "list", "-by", "week")
	s.fails(1, "must be a date", "usage", "export", "-from", "yesterday")
}

// TestLongLedgersAreWhole: more entries than one answer holds are all printed, each once.
func TestLongLedgersAreWhole(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	const runs = 1001
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	err := s.Store.InTx(t.Context(), func(tx hub.Store) error {
		for i := range runs {
			r := hub.UsageRun{
				ID: "run" + time.Duration(i).String(), ServerID: "s", UserID: ada.ID, UserName: "ada", Profile: "p", Generation: int64(i + 1), Instance: "i", MemoryMB: 1, Cores: 1,
				Began: began.Add(time.Duration(i) * time.Second),
			}
			if err := tx.OpenRun(t.Context(), r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var told []struct{ Generation int64 }
	if err := json.Unmarshal([]byte(s.run("usage", "runs", "-json", "-from", "2026-03-01", "-to", "2026-04-01")), &told); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, r := range told {
		seen[r.Generation] = true
	}
	if len(told) != runs || len(seen) != runs {
		t.Errorf("%d entries, %d different ones, want %d", len(told), len(seen), runs)
	}
}

func TestAuditCommands(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	e := func(actor, action, target string) hub.AuditEntry {
		return hub.AuditEntry{
			At: at, Kind: hub.ActorUser, Actor: actor, Token: 5, Address: "192.0.2.1", Action: action, Target: target, Owner: "ada", OwnerID: ada.ID, Result: hub.AuditDone,
		}
	}
	if err := s.Store.AddAudit(t.Context(), []hub.AuditEntry{e("ada", "server.start", "server/ada"), e("root", "server.stop", "server/ada"), e("root", "user.update", "user/ada")}); err != nil {
		t.Fatal(err)
	}
	march := []string{"-since", "2026-03-01", "-until", "2026-04-01"}
	in := func(line ...string) []string { return append(line, march...) }
	s.prints("TIME WHO TOKEN FROM ACT ON RESULT\n", in("audit", "list")...)
	s.prints("root a5 192.0.2.1 server.stop server/ada done\n", in("audit", "list", "-actor", "root")...)
	if got := s.run(in("audit", "list", "-action", "server.start,user.update", "-owner", "ada")...); strings.Count(got, "\n") != 3 || strings.Contains(got, "server.stop") {
		t.Errorf("of two kinds of acts it prints\n%s", got)
	}
	if got := call(t, s.environ, in("audit", "list", "-limit", "1")...); got.err != nil || !strings.Contains(got.errs, "There is more") || strings.Count(got.out, "\n") != 2 {
		t.Errorf("cut off, it prints %q and %q, %v", got.out, got.errs, got.err)
	}
	s.as(ada).prints("root - - server.stop server/ada done\n", in("audit", "list")...) // from where others act is not told
	if lines := strings.Split(strings.TrimSpace(s.run(in("audit", "export")...)), "\n"); len(lines) != 3 || slices.ContainsFunc(lines, func(l string) bool { return !json.Valid([]byte(l)) }) {
		t.Errorf("exported as %q", lines)
	}
	if got := s.run(in("audit", "export", "-csv")...); strings.Count(got, "\n") != 4 || !strings.HasPrefix(got, "id,") {
		t.Errorf("exported as %q", got)
	}
	s.fails(2, "from 1 to 1000", "audit", "list", "-limit", "0")
	s.fails(1, "must be a date", "audit", "list", "-since", "yesterday")
}

// What owners do about their servers on pages, they do from a shell.
func TestCareOfServers(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{})
	ada := s.User("ada", false)
	s.User("bob", false)
	own := s.as(ada)
	own.prints("server of ada created\n", "server", "create", "ada", "lab", "-display-name", "My lab", "-options", `{"size": "small"}`)
	own.prints("shown as My lab\n", "server", "show", "ada", "lab")
	own.fails(1, "already", "server", "create", "ada", "lab")
	own.fails(2, "say what to change", "server", "change", "ada", "lab")
	own.fails(2, "JSON object", "server", "change", "ada", "lab", "-options", "small")
	own.prints("server of ada changed\n", "server", "change", "ada", "lab", "-name", "bench", "-display-name", "")
	var shown struct {
		Options map[string]any `json:"user_options"`
	}
	if err := json.Unmarshal([]byte(own.run("server", "show", "ada", "bench", "-json")), &shown); err != nil || shown.Options["size"] != "small" {
		t.Errorf("changed, it is %+v, %v", shown, err)
	}
	own.fails(1, "There is no such thing", "server", "show", "ada", "lab")
	own.run("server", "start", "ada", "bench")
	own.prints("1 - The server was accepted.\n", "server", "history", "ada", "bench")
	s.run("share", "add", "ada", "bench", "-with", "bob")
	s.prints("the server of ada is not shared with bob\n", "share", "leave", "bob", "ada", "bench")
	if got := s.run("share", "with", "bob", "-json"); got != "[]\n" {
		t.Errorf("bob still has %s", got)
	}
	own.fails(1, "There is no such thing", "server", "keep", "bob")
	own.fails(1, "There is no such thing", "server", "usage", "bob")
}

// What pages tell owners about a running server, and what they offer, is in a shell as well: its use, how to keep it, why to move it, and why it ended.
func TestWhatOwnersAreTold(t *testing.T) {
	t.Parallel()
	s := newShell(t, api.Options{}, func(o *hub.Options) { o.Culling = &cull.Rules{KeepFor: time.Hour, Interval: time.Hour} })
	ada := s.User("ada", false)
	own := s.as(ada)
	own.run("server", "start", "ada")
	server, err := s.Hub.ServerOf(t.Context(), ada, "")
	if err != nil {
		t.Fatal(err)
	}
	s.Fake.Use(server.ID, scheduler.Usage{Time: time.Now(), CPU: 1.25, MemoryBytes: 512 << 20, MemoryLimit: 2048 << 20})
	own.prints("cores 1.25\nmemory 512 MiB of 2048 MiB\n", "server", "usage", "ada")
	own.prints("server of ada is not stopped for idleness before ", "server", "keep", "ada")
	own.prints("kept until ", "server", "show", "ada")
	s.Fake.Drain(server.ID, time.Now().Add(time.Hour))
	eventually(t, "the owner is told that the machine is emptied", func() bool { return strings.Contains(own.run("server", "show", "ada"), "notice") })
	own.prints("server of ada is ready", "server", "move", "ada")
	own.prints(" 2 ", "server", "history", "ada")
	s.Fake.Kill(server.ID, "The program ended with exit code 7.")
	eventually(t, "the owner is told why it ended", func() bool { return strings.Contains(own.run("server", "show", "ada"), "exit code 7") })
	own.fails(1, "", "server", "move", "ada")
}
