package schedulertest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/scheduler"
)

var _ scheduler.VolumeKeeper = (*Fake)(nil)

// fakeVolumes are the volumes of a world. Its mu guards them.
type fakeVolumes struct {
	made map[string]*fakeVolume // by kind and ID
	fail error
}

type fakeVolume struct {
	asked scheduler.Volume
	state scheduler.VolumeState
}

func volumeKey(kind scheduler.MountKind, id string) string { return string(kind) + "/" + id }

// EnsureVolume implements scheduler.VolumeKeeper.
func (f *Fake) EnsureVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.volumes.fail); err != nil {
		return scheduler.VolumeState{}, err
	}
	if err := checkFakeVolume(v); err != nil {
		return scheduler.VolumeState{}, err
	}
	key := volumeKey(v.Kind, v.ID)
	if f.world.volumes.made == nil {
		f.world.volumes.made = make(map[string]*fakeVolume)
	}
	if f.world.volumes.made[key] == nil {
		made := &fakeVolume{asked: v, state: scheduler.VolumeState{
			ID: v.ID, Kind: v.Kind, Name: "fake-" + v.ID, Ready: true, CapacityMB: v.MaxMB,
		}}
		if v.Kind == scheduler.MountDynamic {
			made.state.Node, made.state.NodeID = "fake-node", "fake-node-id"
		}
		f.world.volumes.made[key] = made
	}
	return f.world.volumeState(f.world.volumes.made[key]), nil
}

func checkFakeVolume(v scheduler.Volume) error {
	refuse := func(reason string) error {
		return &scheduler.RejectedError{Reason: reason, Err: fmt.Errorf("volume %q: invalid", v.ID)}
	}
	switch {
	case (scheduler.Spec{ID: v.ID, Generation: 1}).Validate() != nil:
		return refuse(fmt.Sprintf("The volume's ID %q cannot be used.", v.ID))
	case v.Kind != scheduler.MountDynamic && v.Kind != scheduler.MountCSI:
		return refuse(fmt.Sprintf("A volume of the kind %q cannot be made.", v.Kind))
	case v.MaxMB > 0 && v.MinMB > v.MaxMB:
		return refuse("The volume's size cannot be.")
	}
	return nil
}

// volumeState is the volume with who uses it now. The caller holds mu.
func (w *world) volumeState(v *fakeVolume) scheduler.VolumeState {
	state := v.state
	for _, s := range w.servers {
		mounts := slices.ContainsFunc(s.spec.Workload.Mounts, func(m scheduler.Mount) bool { return m.Kind == state.Kind && m.Source == state.Name })
		if mounts && s.status.State != scheduler.Dead {
			state.InUse = true
		}
	}
	return state
}

// VolumeByID implements scheduler.VolumeKeeper.
func (f *Fake) VolumeByID(ctx context.Context, kind scheduler.MountKind, id string) (scheduler.VolumeState, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.volumes.fail); err != nil {
		return scheduler.VolumeState{}, err
	}
	v := f.world.volumes.made[volumeKey(kind, id)]
	if v == nil {
		return scheduler.VolumeState{}, scheduler.ErrNotFound
	}
	return f.world.volumeState(v), nil
}

// Volumes implements scheduler.VolumeKeeper; it is sorted by ID.
func (f *Fake) Volumes(ctx context.Context) ([]scheduler.VolumeState, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.volumes.fail); err != nil {
		return nil, err
	}
	all := make([]scheduler.VolumeState, 0, len(f.world.volumes.made))
	for _, v := range f.world.volumes.made {
		all = append(all, f.world.volumeState(v))
	}
	slices.SortFunc(all, func(a, b scheduler.VolumeState) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// DeleteVolume implements scheduler.VolumeKeeper.
func (f *Fake) DeleteVolume(ctx context.Context, kind scheduler.MountKind, id string) error {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if err := cmpErr(ctx.Err(), f.world.volumes.fail); err != nil {
		return err
	}
	v := f.world.volumes.made[volumeKey(kind, id)]
	if v != nil && f.world.volumeState(v).InUse {
		return &scheduler.RejectedError{Reason: "The volume is in use. Stop what uses it first.", Err: fmt.Errorf("volume %s: in use", id)}
	}
	delete(f.world.volumes.made, volumeKey(kind, id))
	return nil
}

// FailVolumes makes every call about volumes fail with err, until it is called with nil.
func (f *Fake) FailVolumes(err error) { f.set(func(w *world) { w.volumes.fail = err }) }

// ChangeVolume changes what the cluster says of a volume. Unknown ones are ignored.
func (f *Fake) ChangeVolume(kind scheduler.MountKind, id string, change func(*scheduler.VolumeState)) {
	f.set(func(w *world) {
		if v := w.volumes.made[volumeKey(kind, id)]; v != nil {
			change(&v.state)
		}
	})
}

// LoseVolume removes a volume as an operator does who deletes it behind the hub's back.
func (f *Fake) LoseVolume(kind scheduler.MountKind, id string) {
	f.set(func(w *world) { delete(w.volumes.made, volumeKey(kind, id)) })
}

// AskedVolume returns what the volume was made from.
func (f *Fake) AskedVolume(kind scheduler.MountKind, id string) (v scheduler.Volume, ok bool) {
	f.set(func(w *world) {
		if made := w.volumes.made[volumeKey(kind, id)]; made != nil {
			v, ok = made.asked, true
		}
	})
	return v, ok
}
