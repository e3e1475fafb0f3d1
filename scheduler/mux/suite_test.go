package mux_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/mux"
	"github.com/nomadhub/nomadhub/scheduler/schedulertest"
)

func TestMain(m *testing.M) { schedulertest.Main(m) }

// member is a Fake with the abilities that a Fake lacks.
type member struct {
	*schedulertest.Fake

	nodes  []scheduler.Node
	warmed *[]scheduler.WarmImage
}

func (m member) Nodes(context.Context) ([]scheduler.Node, error) { return m.nodes, nil }

func (m member) Advise(_ context.Context, spec scheduler.Spec) ([]string, error) {
	return []string{"Placed by " + spec.Workload.Placement.Namespace + "."}, nil
}

func (m member) Warm(_ context.Context, images []scheduler.WarmImage) error {
	*m.warmed = images
	return nil
}

func (m member) Warmth(context.Context) ([]scheduler.Warmth, error) {
	var all []scheduler.Warmth
	for _, i := range *m.warmed {
		all = append(all, scheduler.Warmth{WarmImage: i, Nodes: len(m.nodes), Ready: 1})
	}
	return all, nil
}

func memberOf(fake *schedulertest.Fake) member {
	return member{Fake: fake, warmed: new([]scheduler.WarmImage)}
}

// over returns a scheduler over members in the namespaces one, two and so on.
func over(t *testing.T, members ...mux.Member) *mux.Scheduler {
	t.Helper()
	var places []mux.Place
	for i, m := range members {
		places = append(places, mux.Place{Namespace: []string{"one", "two", "three"}[i], Scheduler: m})
	}
	s, err := mux.New(mux.Options{Places: places, VolumeID: func(source string) string {
		id, ours := strings.CutPrefix(source, "fake-")
		if !ours {
			return ""
		}
		return id
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wandering starts generations in turn in two places, so that the suite's servers move.
type wandering struct{ *mux.Scheduler }

func (w wandering) Start(ctx context.Context, spec scheduler.Spec) error {
	spec.Workload.Placement.Namespace = []string{"one", "two"}[spec.Generation/2%2]
	return w.Scheduler.Start(ctx, spec)
}

func TestPassesTheSuite(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*mux.Scheduler) scheduler.Scheduler{
		"in the first place":  func(s *mux.Scheduler) scheduler.Scheduler { return s },
		"from place to place": func(s *mux.Scheduler) scheduler.Scheduler { return wandering{s} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schedulertest.Run(t, func(t *testing.T) schedulertest.Harness {
				t.Helper()
				one, two := schedulertest.FakeHarness(t).Scheduler.(*schedulertest.Fake), schedulertest.FakeHarness(t).Scheduler.(*schedulertest.Fake)
				// Both are one cluster, which counts what it places.
				two.Adopt(scheduler.Spec{ID: "before", Generation: 1}, scheduler.Status{Placement: 1 << 20})
				two.Forget("before")
				return schedulertest.Harness{
					Scheduler: wrap(over(t, memberOf(one), memberOf(two))),
					Reopen: func(t *testing.T) scheduler.Scheduler {
						t.Helper()
						return wrap(over(t, memberOf(one.Reopen()), memberOf(two.Reopen())))
					},
				}
			})
		})
	}
}

func TestKeepsVolumes(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"", "two"} {
		t.Run("in "+namespace, func(t *testing.T) {
			t.Parallel()
			schedulertest.RunVolumes(t, func(t *testing.T) schedulertest.VolumeHarness {
				t.Helper()
				one, two := schedulertest.NewFake(), schedulertest.NewFake()
				return schedulertest.VolumeHarness{
					Keeper: over(t, memberOf(one), memberOf(two)),
					Reopen: func(t *testing.T) scheduler.VolumeKeeper {
						t.Helper()
						return over(t, memberOf(one.Reopen()), memberOf(two.Reopen()))
					},
					Volume: func(id string) scheduler.Volume {
						return scheduler.Volume{ID: id, Kind: scheduler.MountDynamic, Placement: scheduler.Placement{Namespace: namespace}}
					},
				}
			})
		})
	}
}
