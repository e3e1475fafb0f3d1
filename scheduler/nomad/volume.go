package nomad

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

var _ scheduler.VolumeKeeper = (*Scheduler)(nil)

// volumeName is what the cluster calls a volume: the name of a dynamic host volume, and the ID of a CSI volume. Jobs mount both by it.
func (s *Scheduler) volumeName(id string) string { return s.opts.JobPrefix + id }

// volumeID is the caller's name for a volume of ours.
func (s *Scheduler) volumeID(name string) string { return strings.TrimPrefix(name, s.opts.JobPrefix) }

// VolumeID tells which of the hub's volumes the source of a mount is; "" for a volume that somebody else made.
func (s *Scheduler) VolumeID(source string) string {
	id, ours := strings.CutPrefix(source, s.opts.JobPrefix)
	if !ours || !validID(id) {
		return ""
	}
	return id
}

// EnsureVolume implements scheduler.VolumeKeeper. A volume that exists on a machine which cannot be reached or takes no work is returned as it is, not ready
// and with the reason: its servers wait for the machine.
func (s *Scheduler) EnsureVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	if err := s.checkVolume(v); err != nil {
		return scheduler.VolumeState{}, err
	}
	if v.Kind == scheduler.MountCSI {
		return s.ensureCSI(ctx, v)
	}
	return s.ensureHostVolume(ctx, v)
}

func (s *Scheduler) checkVolume(v scheduler.Volume) error {
	refuse := func(format string, args ...any) error {
		reason := fmt.Sprintf(format, args...)
		return &scheduler.RejectedError{Reason: reason, Err: fmt.Errorf("volume %q: invalid", v.ID)}
	}
	switch {
	case !validID(v.ID):
		return refuse("The volume's ID %q cannot be used: it needs 1 to 40 characters of a-z, 0-9 and hyphen.", v.ID)
	case v.Kind != scheduler.MountDynamic && v.Kind != scheduler.MountCSI:
		return refuse("A volume of the kind %q cannot be made by Nomad. Use dynamic or csi, or make it beforehand.", v.Kind)
	case v.Kind == scheduler.MountCSI && v.Plugin == "":
		return refuse("A CSI volume needs the ID of the plugin that makes it.")
	case v.MinMB < 0 || v.MaxMB < 0 || v.MaxMB > 0 && v.MinMB > v.MaxMB:
		return refuse("The volume's size of %d to %d MB cannot be.", v.MinMB, v.MaxMB)
	case v.Placement.Namespace != "" && v.Placement.Namespace != s.opts.Namespace:
		return refuse("Volumes are made in the namespace %q, where Nomad lets this hub's jobs mount them; not in %q. An operator must correct the profile, or add the namespace to the hub's configuration.", s.opts.Namespace, v.Placement.Namespace)
	case v.Placement.Region != "" && v.Placement.Region != s.opts.Region:
		return refuse("Volumes are made in the hub's own region, and not in %q. An operator must correct the profile, or add the region to the hub's configuration.", v.Placement.Region)
	}
	return nil
}

// validID reports whether an ID has the alphabet of the contract.
func validID(id string) bool {
	return (scheduler.Spec{ID: id, Generation: 1}).Validate() == nil
}

// VolumeByID implements scheduler.VolumeKeeper.
func (s *Scheduler) VolumeByID(ctx context.Context, kind scheduler.MountKind, id string) (scheduler.VolumeState, error) {
	if kind == scheduler.MountCSI {
		volume, err := s.readCSI(ctx, id)
		if err != nil {
			return scheduler.VolumeState{}, err
		}
		return s.stateOfCSI(volume), nil
	}
	found, _, err := s.hostVolumesNamed(ctx, s.volumeName(id), 0)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	if len(found) == 0 {
		return scheduler.VolumeState{}, fmt.Errorf("nomad: volume %s: %w", s.volumeName(id), scheduler.ErrNotFound)
	}
	if err := s.onlyOne(ctx, found); err != nil {
		return scheduler.VolumeState{}, err
	}
	return s.readHostVolume(ctx, found[0].ID)
}

// Volumes implements scheduler.VolumeKeeper: one list of each kind, one of the machines, and one question about each host volume, as only that tells who uses it.
func (s *Scheduler) Volumes(ctx context.Context) ([]scheduler.VolumeState, error) {
	hosts, _, err := s.listHostVolumes(ctx, s.opts.JobPrefix, 0)
	if err != nil {
		return nil, err
	}
	var all []scheduler.VolumeState
	if len(hosts) > 0 {
		machines, err := s.machines(ctx)
		if err != nil {
			return nil, err
		}
		for _, stub := range hosts {
			if id := s.volumeID(stub.Name); validID(id) {
				state, err := s.readHostVolumeOn(ctx, stub.ID, machines)
				if err != nil {
					return nil, err
				}
				all = append(all, state)
			}
		}
	}
	csi, err := s.listCSI(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, csi...)
	slices.SortFunc(all, func(a, b scheduler.VolumeState) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// DeleteVolume implements scheduler.VolumeKeeper. It fails with ErrUnavailable while the volume's machine cannot be reached: Nomad could only forget such
// a volume, and its files would stay on the machine for ever.
func (s *Scheduler) DeleteVolume(ctx context.Context, kind scheduler.MountKind, id string) error {
	switch kind {
	case scheduler.MountCSI:
		return s.deleteCSI(ctx, id)
	case scheduler.MountDynamic:
		return s.deleteHostVolumes(ctx, id)
	default:
		return &scheduler.RejectedError{
			Reason: fmt.Sprintf("Nomad cannot delete a volume of the kind %q. An operator must do so where it is.", kind),
			Err:    fmt.Errorf("volume %q: kind %q", id, kind),
		}
	}
}

// inUse refuses to delete what an allocation mounts.
func inUse(name string, allocs []*api.AllocationListStub) error {
	users := map[string]bool{}
	for _, alloc := range allocs {
		if !isTerminal(alloc.ClientStatus) {
			users[alloc.JobID] = true
		}
	}
	if len(users) == 0 {
		return nil
	}
	return &scheduler.RejectedError{
		Reason: "The volume is in use by " + strings.Join(slices.Sorted(maps.Keys(users)), ", ") + ". Stop what uses it first.",
		Err:    fmt.Errorf("volume %s: in use", name),
	}
}

func anyUse(allocs []*api.AllocationListStub) bool {
	return slices.ContainsFunc(allocs, func(a *api.AllocationListStub) bool { return !isTerminal(a.ClientStatus) })
}
