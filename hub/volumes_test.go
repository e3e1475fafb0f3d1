package hub_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// claim asks for a dynamic volume.
func claim(name string, share profile.Share, retain profile.Retention) profile.Claim {
	return profile.Claim{
		Name: name, Share: share, Retain: retain, Grace: time.Hour,
		Volume: scheduler.Volume{Kind: scheduler.MountDynamic, MaxMB: 100},
		Mount:  scheduler.Mount{Name: name, Kind: scheduler.MountDynamic, Path: "/" + name},
	}
}

// volumeBench is a bench whose servers answer, with two profiles that mount the same claims.
func volumeBench(t *testing.T, claims ...profile.Claim) *bench {
	t.Helper()
	b := newBench(t, func(o *hub.Options) {
		o.Profiles = menu{{Profile: "small", Volumes: claims}, {Profile: "large", Volumes: claims}}
	})
	b.placeAt(notebook(t))
	return b
}

func (b *bench) run(user, server, profile string) hub.Server {
	b.t.Helper()
	s, err := b.hub.StartServer(b.t.Context(), user, server, []byte(`{"profile":"`+profile+`"}`))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.await(s.ID, "a running server", func(s hub.Server) bool { return s.State == hub.Ready })
}

func (b *bench) halt(s hub.Server, remove bool) {
	b.t.Helper()
	if _, err := b.hub.StopServer(b.t.Context(), s.UserName, s.Name, remove); err != nil {
		b.t.Fatal(err)
	}
	b.await(s.ID, "a stopped server", func(s hub.Server) bool { return s.State == hub.Stopped })
}

// mounts is what the scheduler was told to mount, by path.
func (b *bench) mounts(s hub.Server) map[string]string {
	b.t.Helper()
	spec, ok := b.fake.Spec(s.ID)
	if !ok {
		b.t.Fatalf("the scheduler does not run %s", s.ID)
	}
	sources := map[string]string{}
	for _, m := range spec.Workload.Mounts {
		sources[m.Path] = m.Source
	}
	return sources
}

func (b *bench) volume(user hub.User, name string) hub.VolumeInfo {
	b.t.Helper()
	all, err := b.hub.VolumesOf(b.t.Context(), user)
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(v hub.VolumeInfo) bool { return v.Name == name })
	if i < 0 {
		b.t.Fatalf("%s has no volume %q among %+v", user.Name, name, all)
	}
	return all[i]
}

// gone waits until neither hub nor cluster has the volume.
func (b *bench) gone(v hub.VolumeInfo) {
	b.t.Helper()
	b.soon("the volume to be deleted", func() bool {
		_, err := b.hub.Volume(b.t.Context(), v.ID)
		_, clusterErr := b.fake.VolumeByID(b.t.Context(), v.Kind, v.ID)
		return hub.KindOf(err) == hub.NotFound && errors.Is(clusterErr, scheduler.ErrNotFound)
	})
}

func (b *bench) soon(what string, done func() bool) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-end:
			b.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *bench) wantKind(what string, err error, want hub.Kind, says string) {
	b.t.Helper()
	if err == nil || hub.KindOf(err) != want || !strings.Contains(err.Error(), says) {
		b.t.Errorf("%s: %v, want an error of kind %d that says %q", what, err, want, says)
	}
}

func TestAVolumeIsFoundBySharerAndName(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, ""), claim("scratch", profile.ShareServer, ""), claim("team", profile.ShareGroup, ""), claim("data", profile.ShareAll, ""))
	ada, bob := b.login("ada"), b.login("bob")
	first := b.run("ada", "", "small")
	before := b.mounts(first)
	b.halt(first, false)
	again := b.run("ada", "", "large")
	if after := b.mounts(again); !sameMounts(before, after) {
		t.Errorf("another profile mounts %v, and before it was %v", after, before)
	}
	named, of := b.mounts(b.run("ada", "named", "small")), b.mounts(b.run("bob", "", "small"))
	for path, same := range map[string][2]bool{"/home": {true, false}, "/scratch": {false, false}, "/team": {true, true}, "/data": {true, true}} {
		if got := [2]bool{named[path] == before[path], of[path] == before[path]}; got != same || before[path] == "" {
			t.Errorf("%s: shared with the own named server and with somebody else's: %v, want %v (%v)", path, got, same, before)
		}
	}
	home := b.volume(ada, "home")
	if home.Node != "fake-node" || home.State != hub.VolumeReady || home.CapacityMB != 100 || len(home.Active()) != 2 || home.Profile != "small" {
		t.Errorf("the home is %+v", home)
	}
	if data := b.volume(bob, "data"); len(data.Uses) != 1 {
		t.Errorf("bob is told of others' servers: %+v", data.Uses)
	}
	if asked, _ := b.fake.AskedVolume(scheduler.MountDynamic, home.ID); asked.Labels["user"] != "ada" || asked.MaxMB != 100 {
		t.Errorf("the cluster was asked for %+v", asked)
	}
}

func sameMounts(a, b map[string]string) bool {
	for path, source := range a {
		if b[path] != source {
			return false
		}
	}
	return len(a) == len(b)
}

func TestAGoneUsersVolumeIsKeptOrDeletedAsSaid(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("keep", profile.ShareUser, profile.RetainKeep), claim("grace", profile.ShareUser, profile.RetainGrace),
		claim("delete", profile.ShareUser, profile.RetainDelete), claim("team", profile.ShareGroup, ""))
	ada := b.login("ada")
	s := b.run("ada", "", "small")
	b.wantKind("deleting a volume in use", volumeErr(b.hub.DeleteVolume(t.Context(), b.volume(ada, "keep").ID, true)), hub.Conflict, "in use by the server of ada")
	b.halt(s, false)
	kept, graced, deleted := b.volume(ada, "keep"), b.volume(ada, "grace"), b.volume(ada, "delete")
	if err := b.hub.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	b.gone(deleted)
	for _, v := range []hub.VolumeInfo{kept, graced} {
		now, err := b.hub.Volume(t.Context(), v.ID)
		if err != nil || now.State != hub.VolumeReleased || now.UserName != "ada" || now.DeleteAfter.IsZero() != (v.ID == kept.ID) {
			t.Errorf("after the user is gone, the volume is %+v, %v", now, err)
		}
	}

	// Somebody of the same name is somebody else.
	again := b.login("ada")
	other := b.mounts(b.run("ada", "", "small"))
	if other["/keep"] == kept.Source || other["/grace"] == graced.Source || other["/keep"] == "" {
		t.Errorf("the new ada was given the old one's files: %v", other)
	}
	b.wantKind("restoring to nobody", volumeErr(b.hub.RestoreVolume(t.Context(), graced.ID)), hub.Invalid, "is gone")
	ada2 := "ada"
	b.wantKind("giving it to whom has one", volumeErr(b.hub.ChangeVolume(t.Context(), graced.ID, hub.VolumeChange{Owner: &ada2})), hub.Conflict, "has a volume named")
	name := "old-grace"
	given, err := b.hub.ChangeVolume(t.Context(), graced.ID, hub.VolumeChange{Owner: &ada2, Name: &name})
	if err != nil || given.State != hub.VolumeReady || given.UserID != again.ID || !given.DeleteAfter.IsZero() {
		t.Errorf("given to the new ada, it is %+v, %v", given, err)
	}
	b.volume(again, "old-grace")
}

func volumeErr(_ hub.VolumeInfo, err error) error { return err }

func TestAVolumeIsTakenBackWithinItsGrace(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, profile.RetainGrace), claim("scratch", profile.ShareServer, profile.RetainGrace))
	ada := b.login("ada")
	s := b.run("ada", "x", "small")
	before := b.mounts(s)
	b.halt(s, true)
	scratch, home := b.volume(ada, "scratch"), b.volume(ada, "home")
	if scratch.State != hub.VolumeReleased || scratch.DeleteAfter.IsZero() || home.State != hub.VolumeReady {
		t.Fatalf("after its server was removed, the volume of a server is %+v, and that of its user %+v", scratch, home)
	}
	if _, err := b.hub.RestoreVolume(t.Context(), scratch.ID); err != nil {
		t.Fatal(err)
	}
	s = b.run("ada", "x", "large")
	if after := b.mounts(s); !sameMounts(before, after) {
		t.Errorf("taken back, it mounts %v, and before %v", after, before)
	}
	b.halt(s, true)

	// Not taken back, it goes when its time is over, and not before.
	fresh := b.run("ada", "x", "small")
	if b.mounts(fresh)["/scratch"] == before["/scratch"] {
		t.Error("a server of the same name got what was given up, though nobody asked for it")
	}
	b.clock.Store(int64(59 * time.Minute))
	b.wantKind("restoring beside another", volumeErr(b.hub.RestoreVolume(t.Context(), scratch.ID)), hub.Conflict, "Delete or rename that one first")
	b.clock.Store(int64(61 * time.Minute))
	if _, err := b.hub.ChangeVolume(t.Context(), home.ID, hub.VolumeChange{}); hub.KindOf(err) != hub.Conflict {
		t.Errorf("changing what is in use: %v", err)
	}
	b.halt(fresh, false)
	if _, err := b.hub.DeleteVolume(t.Context(), b.volume(ada, "home").ID, true); err != nil {
		t.Fatal(err)
	}
	b.gone(home)
	b.gone(scratch)
	if len(b.mounts(b.run("ada", "x", "small"))) != 2 {
		t.Error("the server does not start after its home was deleted")
	}
}

func TestAVolumeThatTheClusterLostIsNotMadeAnew(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, ""))
	ada := b.login("ada")
	s := b.run("ada", "", "small")
	b.halt(s, false)
	home := b.volume(ada, "home")
	b.fake.LoseVolume(home.Kind, home.ID)
	b.start("ada", "")
	failed := b.await(s.ID, "the end of the start", func(s hub.Server) bool { return s.State == hub.Stopped })
	if failed.Failure == nil || failed.Failure.Cause != scheduler.CauseVolume || !strings.Contains(failed.Failure.Message, `The volume "home" with the server's files is no longer in the cluster (it was on the machine fake-node)`) {
		t.Errorf("the failure is %+v", failed.Failure)
	}
	if note := b.volume(ada, "home").Note; note == "" {
		t.Error("the volume does not say so")
	}
	if _, err := b.hub.DeleteVolume(t.Context(), home.ID, true); err != nil {
		t.Fatal(err)
	}
	b.gone(home)
	if b.mounts(b.run("ada", "", "small"))["/home"] == home.Source {
		t.Error("it begins with what was deleted")
	}
}

func TestAProfileThatIsMendedMakesTheVolume(t *testing.T) {
	t.Parallel()
	wrong := claim("home", profile.ShareUser, "")
	wrong.Mount.Kind, wrong.Volume.Kind = scheduler.MountCSI, scheduler.MountCSI
	b := volumeBench(t, wrong)
	b.login("ada")
	b.fake.FailVolumes(&scheduler.RejectedError{Reason: "There is no such plugin.", Err: errors.New("none")})
	s := b.start("ada", "")
	b.await(s.ID, "the end of the start", func(s hub.Server) bool { return s.State == hub.Stopped })
	b.fake.FailVolumes(nil)
	right := []profile.Claim{claim("home", profile.ShareUser, "")}
	b.hub.SetProfiles(menu{{Profile: "small", Volumes: right}})
	b.halt(b.run("ada", "", "small"), false)

	// Once it has files in it, another kind is another volume, which has to have another name.
	b.hub.SetProfiles(menu{{Profile: "small", Volumes: []profile.Claim{wrong}}})
	b.start("ada", "")
	failed := b.await(s.ID, "the end of the start", func(s hub.Server) bool { return s.State == hub.Stopped })
	if failed.Failure == nil || !strings.Contains(failed.Failure.Message, `is of the kind dynamic since it was made, and the profile "small" asks for csi`) {
		t.Errorf("the failure is %+v", failed.Failure)
	}
}

func TestAClusterThatIsAwayLosesNoVolume(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, profile.RetainDelete))
	b.login("ada")
	b.fake.FailVolumes(scheduler.ErrUnavailable)
	s := b.start("ada", "")
	b.soon("a first attempt", func() bool {
		v, _, err := b.hub.Volumes(t.Context(), hub.VolumeQuery{})
		return err == nil && len(v) == 1 && v[0].State == hub.VolumeMaking
	})
	b.fake.FailVolumes(nil)
	s = b.await(s.ID, "a running server", func(s hub.Server) bool { return s.State == hub.Ready })
	b.halt(s, false)
	all, _, err := b.hub.Volumes(t.Context(), hub.VolumeQuery{})
	if err != nil || len(all) != 1 {
		t.Fatalf("the volumes are %+v, %v", all, err)
	}
	b.fake.FailVolumes(scheduler.ErrUnavailable)
	if err := b.hub.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	b.soon("the reason", func() bool {
		v, err := b.hub.Volume(t.Context(), all[0].ID)
		return err == nil && v.State == hub.VolumeDeleting && strings.Contains(v.Note, "could not be deleted yet")
	})
	b.wantKind("taking back", volumeErr(b.hub.RestoreVolume(t.Context(), all[0].ID)), hub.Invalid, "is gone")
	b.fake.FailVolumes(nil)
	if _, err := b.hub.DeleteVolume(t.Context(), all[0].ID, true); err != nil { // asks again at once
		t.Fatal(err)
	}
	b.stop() // a restart looks at once
	openBench(t, b.store, b.fake).gone(all[0])
}

func TestVolumesThatNeedNoMaking(t *testing.T) {
	t.Parallel()
	host := profile.Claim{Name: "data", Mount: scheduler.Mount{Name: "data", Kind: scheduler.MountHost, Path: "/data", Source: "datasets", ReadOnly: true}}
	existing := claim("nfs", profile.ShareAll, profile.RetainDelete)
	existing.Existing = "operators-own"
	sticky := profile.Claim{Name: "disk", Mount: scheduler.Mount{Name: "disk", Kind: scheduler.MountSticky, Path: "/disk", Source: "nonsense"}}
	engine := profile.Claim{Name: "home", Share: profile.ShareUser, Mount: scheduler.Mount{Name: "home", Kind: scheduler.MountDocker, Path: "/home"}}
	b := volumeBench(t, host, existing, sticky, engine)
	ada := b.login("ada")
	got := b.mounts(b.run("ada", "", "small"))
	rows, _, err := b.hub.Volumes(t.Context(), hub.VolumeQuery{})
	if err != nil || len(rows) != 1 || rows[0].Kind != scheduler.MountDocker || rows[0].UserID != ada.ID {
		t.Fatalf("the hub keeps %+v, %v", rows, err)
	}
	if want := map[string]string{"/data": "datasets", "/nfs": "operators-own", "/disk": "", "/home": "nomadhub-" + rows[0].ID}; !sameMounts(want, got) {
		t.Errorf("mounts %v, want %v", got, want)
	}
	if made, err := b.fake.Volumes(t.Context()); err != nil || len(made) > 0 {
		t.Errorf("the cluster was asked to make %+v, %v", made, err)
	}
}

func TestF50_AServerSaysWhatItsVolumeWaitsFor(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, ""))
	ada := b.login("ada")
	s := b.run("ada", "", "small")
	b.halt(s, false)
	const reason = "The server's files are on the machine fake-node, which is not reachable. The server waits for it; nothing is lost."
	home := b.volume(ada, "home")
	b.fake.ChangeVolume(home.Kind, home.ID, func(v *scheduler.VolumeState) { v.Ready, v.Reason = false, reason })
	if source := b.mounts(b.run("ada", "", "small"))["/home"]; source != home.Source {
		t.Errorf("it mounts %q, and not the volume that it waits for, %q", source, home.Source)
	}
	if note := b.volume(ada, "home").Note; note != reason {
		t.Errorf("the volume says %q", note)
	}
}

func TestAWaitingServerSaysWhereItsFilesAre(t *testing.T) {
	t.Parallel()
	b := volumeBench(t, claim("home", profile.ShareUser, ""))
	ada := b.login("ada")
	s := b.run("ada", "", "small")
	b.halt(s, false)
	const reason = "The server's files are on the machine fake-node, which is not reachable. The server waits for it; nothing is lost."
	home := b.volume(ada, "home")
	b.fake.ChangeVolume(home.Kind, home.ID, func(v *scheduler.VolumeState) { v.Ready, v.Reason = false, reason })
	b.fake.OnStart = func(s scheduler.Spec) { b.fake.Block(s.ID, "Waiting for a machine: none has its volume.") }
	b.start("ada", "")
	waits := b.await(s.ID, "a reason to wait", func(s hub.Server) bool { return s.Wait != nil && s.Wait.Blocked })
	if waits.Wait.Reason != reason {
		t.Errorf("it says %q", waits.Wait.Reason)
	}
}

func TestF50_AFullDiskIsSaid(t *testing.T) {
	t.Parallel()
	for line, says := range map[string]string{
		"OSError: [Errno 28] No space left on device: '/home/x/.jupyter'": "The disk with the server's files is full",
		"OSError: [Errno 122] Disk quota exceeded":                        "Your quota of disk is used up",
	} {
		b := volumeBench(t, claim("home", profile.ShareUser, ""))
		b.login("ada")
		b.fake.OnStart = func(s scheduler.Spec) {
			b.fake.Place(s.ID, "127.0.0.1:1")
			b.fake.Print(s.ID, "Traceback:", line)
			b.fake.Kill(s.ID, "The server ended with exit code 1.")
		}
		s := b.start("ada", "")
		failed := b.await(s.ID, "the end of the start", func(s hub.Server) bool { return s.State == hub.Stopped })
		if f := failed.Failure; f == nil || f.Cause != scheduler.CauseVolume || !strings.HasPrefix(f.Message, says) || !strings.HasSuffix(f.Message, "exit code 1.") {
			t.Errorf("the failure is %+v", f)
		}
	}
}

func TestFateOfAVolume(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for want, v := range map[string]hub.Volume{
		"When its user is deleted, it is kept until an administrator deletes it.":                       {Share: profile.ShareUser, State: hub.VolumeReady, Retain: profile.RetainKeep},
		"When its server or its user is deleted, it can be taken back for 14 days and is deleted then.": {Share: profile.ShareServer, State: hub.VolumeReady, Retain: profile.RetainGrace, Grace: 14 * 24 * time.Hour},
		"It is deleted when its user is deleted.":                                                       {Share: profile.ShareUser, State: hub.VolumeMaking, Retain: profile.RetainDelete},
		"It stays until an administrator deletes it.":                                                   {Share: profile.ShareGroup, State: hub.VolumeReady, Retain: profile.RetainKeep},
		"It is kept until an administrator deletes it.":                                                 {State: hub.VolumeReleased},
		"It will be deleted after 4 March 2026 12:00 UTC, and can be taken back until then.":            {State: hub.VolumeReleased, DeleteAfter: at},
		"It is being deleted.": {State: hub.VolumeDeleting},
	} {
		if got := v.Fate(); got != want {
			t.Errorf("%+v: %q, want %q", v, got, want)
		}
	}
}
