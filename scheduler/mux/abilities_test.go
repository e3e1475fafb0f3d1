package mux_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

// counting counts how often it is asked for a server.
type counting struct {
	member

	asked *atomic.Int64
}

func (c counting) Status(ctx context.Context, id string) (scheduler.Status, error) {
	c.asked.Add(1)
	return c.member.Status(ctx, id)
}

func TestStatusAsksOnePlace(t *testing.T) {
	t.Parallel()
	one, two, other := pair(t)
	var asked atomic.Int64
	s := over(t, counting{memberOf(one), &asked}, counting{memberOf(two), &asked})
	mustStart(t, other, in("two", 1))
	status := func(generation, want int64) {
		t.Helper()
		asked.Store(0)
		got, err := s.Status(t.Context(), "a")
		if err != nil || got.Generation != generation || asked.Load() != want {
			t.Errorf("status %+v, %v after %d questions, want generation %d after %d", got, err, asked.Load(), generation, want)
		}
	}
	status(1, 2)
	status(1, 1)
	mustStart(t, other, in("one", 2)) // by another hub
	status(2, 3)
	status(2, 1)
	mustStart(t, s, in("two", 3))
	status(3, 1)
	reopened := over(t, counting{memberOf(one), &asked}, counting{memberOf(two), &asked})
	if _, err := reopened.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	s = reopened
	status(3, 1)
}

func TestAbilitiesAreThoseOfThePlace(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	mustStart(t, over(t, memberOf(one), memberOf(two)), in("two", 1)) // by another hub: s has not seen it
	two.Place("a", "127.0.0.1:1")
	two.Run("a")
	two.Print("a", "hello")
	two.Use("a", scheduler.Usage{Time: time.Unix(1, 0), CPU: 2})
	for range 2 { // unknown at first, then remembered
		if lines, err := s.LogTail(t.Context(), "a", 5); err != nil || !slices.Equal(lines, []string{"hello"}) {
			t.Errorf("log: %q, %v", lines, err)
		}
		log, err := s.Log(t.Context(), "a", scheduler.LogQuery{})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(log); err != nil || string(text) != "hello\n" {
			t.Errorf("log: %q, %v", text, err)
		}
		if usage, err := s.Usage(t.Context(), "a"); err != nil || usage.CPU != 2 {
			t.Errorf("usage: %+v, %v", usage, err)
		}
		if history, err := s.History(t.Context(), "a"); err != nil || len(history) != 3 {
			t.Errorf("history: %+v, %v", history, err)
		}
	}
	two.Kill("a", "It ended.")
	if _, err := s.Usage(t.Context(), "a"); !errors.Is(err, scheduler.ErrNotFound) {
		t.Errorf("use of what has ended: %v", err)
	}
	spec := in("two", 2)
	spec.Workload.Placement.NodePool = "gpu"
	if forecast, err := s.Plan(t.Context(), spec); err != nil || forecast.Pool != "gpu" || len(one.Planned()) != 0 || len(two.Planned()) != 1 {
		t.Errorf("plan: %+v, %v", forecast, err)
	}
	if advice, err := s.Advise(t.Context(), spec); err != nil || len(advice) != 1 {
		t.Errorf("advice: %q, %v", advice, err)
	}
	two.DropEvents(true)
	before := two.LastSign()
	if sign := s.LastSign(); !sign.Equal(before) || !one.LastSign().After(sign) {
		t.Errorf("the last sign is of %s, want the oldest %s", sign, before)
	}
}

func TestVolumesStayInTheirPlace(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	v := func(namespace string) scheduler.Volume {
		return scheduler.Volume{ID: "home", Kind: scheduler.MountDynamic, Placement: scheduler.Placement{Namespace: namespace}}
	}
	refused := func(err error) {
		t.Helper()
		if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, `kept in the namespace "one"`) {
			t.Errorf("got %v, want a sentence that says where the files are", err)
		}
	}
	state, err := s.EnsureVolume(t.Context(), v("one"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.EnsureVolume(t.Context(), v("two"))
	refused(err)
	if made, err := two.Volumes(t.Context()); err != nil || len(made) != 0 {
		t.Errorf("in two are %+v, %v", made, err)
	}
	mounting := func(namespace string, generation int64) scheduler.Spec {
		spec := in(namespace, generation)
		spec.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountDynamic, Source: state.Name, Path: "/home"}}
		return spec
	}
	mustStart(t, s, mounting("one", 1))
	refused(s.Start(t.Context(), mounting("two", 2)))
	requireIn(t, one, two, 1, 0) // and nothing was ended for it
	foreign := in("two", 2)
	foreign.Workload.Mounts = []scheduler.Mount{{Name: "data", Kind: scheduler.MountDynamic, Source: "somebody-else", Path: "/data"}}
	mustStart(t, s, foreign)

	two.FailVolumes(scheduler.ErrUnavailable)
	if found, err := s.VolumeByID(t.Context(), v("").Kind, "home"); err != nil || found.ID != "home" {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, err := s.VolumeByID(t.Context(), v("").Kind, "other"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("a volume that may be in a place that is away: %v", err)
	}
	if err := s.DeleteVolume(t.Context(), v("").Kind, "other"); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("deleting it: %v", err)
	}
	other := v("one")
	other.ID = "other"
	if _, err := s.EnsureVolume(t.Context(), other); !errors.Is(err, scheduler.ErrUnavailable) {
		t.Errorf("making it: %v", err)
	}
	two.FailVolumes(nil)
	if err := s.DeleteVolume(t.Context(), v("").Kind, "home"); err != nil {
		t.Error(err)
	}
	if _, err := s.EnsureVolume(t.Context(), v("two")); err != nil {
		t.Errorf("after it was deleted: %v", err)
	}
}

// TestVolumeMadeTwiceAtOnce: two servers of one owner, or two hubs, make one volume in two places.
func TestVolumeMadeTwiceAtOnce(t *testing.T) {
	t.Parallel()
	one, two, s := pair(t)
	var done sync.WaitGroup
	var made, refused atomic.Int64
	for i := range 8 {
		done.Go(func() {
			_, err := s.EnsureVolume(t.Context(), scheduler.Volume{
				ID: "home", Kind: scheduler.MountCSI, Placement: scheduler.Placement{Namespace: []string{"one", "two"}[i%2]},
			})
			if _, rejected := errors.AsType[*scheduler.RejectedError](err); rejected {
				refused.Add(1)
			} else if err == nil {
				made.Add(1)
			}
		})
	}
	done.Wait()
	inOne, _ := one.Volumes(t.Context())
	inTwo, _ := two.Volumes(t.Context())
	if made.Load() != 4 || refused.Load() != 4 || len(inOne)+len(inTwo) != 1 {
		t.Errorf("given to %d and refused to %d; in one %v, in two %v", made.Load(), refused.Load(), inOne, inTwo)
	}
	// Another hub whose look at the other place came too early.
	if _, err := one.EnsureVolume(t.Context(), scheduler.Volume{ID: "home", Kind: scheduler.MountCSI}); err != nil {
		t.Fatal(err)
	}
	if _, err := two.EnsureVolume(t.Context(), scheduler.Volume{ID: "home", Kind: scheduler.MountCSI}); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{"one", "two"} {
		spec := in(namespace, 1)
		spec.Workload.Mounts = []scheduler.Mount{{Name: "home", Kind: scheduler.MountCSI, Source: "fake-home", Path: "/home"}}
		if _, rejected := errors.AsType[*scheduler.RejectedError](s.Start(t.Context(), spec)); !rejected {
			t.Errorf("a server in %s was given one of two volumes of one name", namespace)
		}
	}
}

// slow is a member that takes a second to make a volume.
type slow struct{ member }

func (s slow) EnsureVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	<-time.After(time.Second)
	return s.member.EnsureVolume(ctx, v)
}

// TestVolumeIsMadeByOneCall: two servers of one owner ask in two places, and one hub serves both.
func TestVolumeIsMadeByOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one, two := schedulertest.NewFake(), schedulertest.NewFake()
		s := over(t, slow{memberOf(one)}, slow{memberOf(two)})
		made := make(chan error, 2)
		for _, namespace := range []string{"one", "two"} {
			go func() {
				_, err := s.EnsureVolume(t.Context(), scheduler.Volume{ID: "home", Kind: scheduler.MountCSI, Placement: scheduler.Placement{Namespace: namespace}})
				made <- err
			}()
		}
		if first, second := <-made, <-made; (first == nil) == (second == nil) {
			t.Errorf("made: %v, %v; want one of them refused", first, second)
		}
		if all, err := s.Volumes(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("made are %+v, %v", all, err)
		}
	})
}

func TestMachinesAreOfRegions(t *testing.T) {
	t.Parallel()
	regional := func(nodes ...scheduler.Node) member {
		m := memberOf(schedulertest.NewFake())
		m.nodes = nodes
		return m
	}
	eu, gpu := regional(scheduler.Node{ID: "1", Name: "b", Pool: "gpu"}), regional(scheduler.Node{ID: "1", Name: "b", Pool: "gpu"})
	us := regional(scheduler.Node{ID: "2", Name: "a", Pool: "default"}, scheduler.Node{ID: "3", Name: "c", Pool: "default"})
	s, err := mux.New(mux.Options{VolumeID: func(string) string { return "" }, Places: []mux.Place{
		{Region: "eu", Namespace: "x", Scheduler: eu}, {Region: "eu", Namespace: "y", Scheduler: gpu}, {Region: "us", Namespace: "x", Scheduler: us},
	}})
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := s.Nodes(t.Context())
	if err != nil || len(nodes) != 3 || nodes[0].Name != "a" || nodes[2].Name != "c" {
		t.Errorf("machines %+v, %v", nodes, err)
	}
	everywhere, special := scheduler.WarmImage{Driver: "docker", Image: "x"}, scheduler.WarmImage{Driver: "docker", Image: "y", Pool: "gpu"}
	if err := s.Warm(t.Context(), []scheduler.WarmImage{everywhere, special}); err != nil {
		t.Fatal(err)
	}
	if len(*eu.warmed) != 2 || len(*gpu.warmed) != 0 || !slices.Equal(*us.warmed, []scheduler.WarmImage{everywhere}) {
		t.Errorf("kept are %v, %v and %v", *eu.warmed, *gpu.warmed, *us.warmed)
	}
	warmth, err := s.Warmth(t.Context())
	if err != nil || len(warmth) != 2 || warmth[0] != (scheduler.Warmth{WarmImage: everywhere, Nodes: 3, Ready: 2}) {
		t.Errorf("warm are %+v, %v", warmth, err)
	}
}

// scripted is a member whose news the test writes.
type scripted struct {
	member

	news chan scheduler.Event
}

func (s scripted) Watch(ctx context.Context) iter.Seq2[scheduler.Event, error] {
	return func(yield func(scheduler.Event, error) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case event := <-s.news:
				var err error
				if event == (scheduler.Event{}) {
					err = scheduler.ErrUnavailable
				}
				if !yield(event, err) {
					return
				}
			}
		}
	}
}

// TestWatchMergesNews: a place that is silent at first holds nobody up for long, and its Resync comes when it does.
func TestWatchMergesNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		news := [3]chan scheduler.Event{}
		var members []mux.Member
		for i := range news {
			news[i] = make(chan scheduler.Event)
			members = append(members, scripted{memberOf(schedulertest.NewFake()), news[i]})
		}
		type heard struct {
			event scheduler.Event
			err   error
		}
		told := make(chan heard, 100)
		ctx, cancel := context.WithCancel(t.Context())
		var watch sync.WaitGroup
		watch.Go(func() {
			first := true
			for event, err := range over(t, members...).Watch(ctx) {
				if event.Resync && first { // the reader may have listed all before the silent place begins
					first = false
					news[2] <- scheduler.Event{Resync: true}
					synctest.Wait()
				}
				told <- heard{event, err}
			}
		})
		begun := time.Now()
		news[0] <- scheduler.Event{Resync: true}
		news[1] <- scheduler.Event{}
		if h := <-told; !errors.Is(h.err, scheduler.ErrUnavailable) {
			t.Errorf("first came %+v, want the error", h)
		}
		if h := <-told; !h.event.Resync || time.Since(begun) < time.Second || time.Since(begun) > time.Minute {
			t.Errorf("%s later came %+v, want a resync", time.Since(begun), h)
		}
		if h := <-told; !h.event.Resync {
			t.Errorf("the silent place began, and told was %+v", h)
		}
		news[1] <- scheduler.Event{ID: "b", Generation: 1}
		if h := <-told; h.event.ID != "b" {
			t.Errorf("then came %+v", h)
		}
		news[0] <- scheduler.Event{Resync: true}
		if h := <-told; !h.event.Resync {
			t.Errorf("a place lost news, and told was %+v", h)
		}
		synctest.Wait()
		if len(told) != 0 {
			t.Errorf("%d events too many", len(told))
		}
		cancel()
		watch.Wait()
	})
}
