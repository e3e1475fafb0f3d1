package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Dynamic host volumes. Nomad gives each an ID and does not keep two of one name from being made, on two machines; a job that mounts the name may then run on
// either. So whoever makes one looks again afterwards: the one that was written first is the volume, because everybody who looks later sees it, and
// the maker of any other deletes that at once, before anybody could have been told of it.

// builtInPlugin makes directories.
const builtInPlugin = "mkdir"

// errNameTaken says that the machine makes a volume of this name for somebody else at this moment.
var errNameTaken = errors.New("the machine has a volume of this name already")

// takenPatience is how long a machine may take to finish the volume that somebody else makes on it; after it, the maker is taken for dead.
const takenPatience = 10 * time.Second

func (s *Scheduler) ensureHostVolume(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	name := s.volumeName(v.ID)
	found, index, err := s.hostVolumesNamed(ctx, name, 0)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	if len(found) == 0 {
		if found, err = s.makeHostVolume(ctx, v, index); err != nil {
			return scheduler.VolumeState{}, err
		}
	}
	if err := s.onlyOne(ctx, found); err != nil {
		return scheduler.VolumeState{}, err
	}
	return s.awaitHostVolume(ctx, found[0].ID)
}

// makeHostVolume makes the volume on the first machine that can have it, and returns the volumes of its name, the oldest first.
func (s *Scheduler) makeHostVolume(ctx context.Context, v scheduler.Volume, index uint64) ([]*api.HostVolumeStub, error) {
	candidates, err := s.candidates(ctx, v)
	if err != nil {
		return nil, err
	}
	name, last := s.volumeName(v.ID), error(nil)
	for _, machine := range candidates {
		made, err := s.createOn(ctx, v, machine)
		switch {
		case errors.Is(err, errNameTaken):
			found, err := s.awaitNamed(ctx, name, index)
			if err != nil || len(found) > 0 {
				return found, err
			}
			last = errNameTaken // left over from a maker that died; Nomad does not know it, and no job is ever placed by it
		case errors.Is(err, errUnsuitable):
			// So is a machine that has a volume of this name by now: somebody else was faster, and theirs is the volume.
			found, _, lookErr := s.hostVolumesNamed(ctx, name, 0)
			if lookErr != nil || len(found) > 0 {
				return found, lookErr
			}
			last = err
		case err != nil:
			return nil, err
		default:
			return s.giveWay(ctx, name, made)
		}
	}
	return nil, noMachine(v, len(candidates), last)
}

// giveWay looks at the volumes of a name after one was made, and deletes that if another was made before it.
func (s *Scheduler) giveWay(ctx context.Context, name, made string) ([]*api.HostVolumeStub, error) {
	found, _, err := s.hostVolumesNamed(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("nomad: volume %s: %w: it was deleted as soon as it was made", name, scheduler.ErrUnavailable)
	}
	if found[0].ID == made {
		return s.awaitRivals(ctx, name, found)
	}
	if _, _, err := s.client.HostVolumes().Delete(&api.HostVolumeDeleteRequest{ID: made}, s.write(ctx)); err != nil && !isGone(err) {
		return nil, translate(ctx, "deleting a second volume of the same name", err)
	}
	return s.awaitRivals(ctx, name, found[:1])
}

// awaitRivals waits a while for the makers of other volumes of the name to give way.
func (s *Scheduler) awaitRivals(ctx context.Context, name string, found []*api.HostVolumeStub) ([]*api.HostVolumeStub, error) {
	deadline := time.Now().Add(takenPatience)
	var index uint64
	for len(found) > 1 && time.Now().Before(deadline) {
		var err error
		if found, index, err = s.hostVolumesNamed(ctx, name, index); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// awaitNamed waits for a volume of the name to appear, and returns none if it does not.
func (s *Scheduler) awaitNamed(ctx context.Context, name string, index uint64) ([]*api.HostVolumeStub, error) {
	deadline := time.Now().Add(takenPatience)
	for time.Now().Before(deadline) {
		found, next, err := s.hostVolumesNamed(ctx, name, index)
		if err != nil || len(found) > 0 {
			return found, err
		}
		index = nextIndex(index, next)
	}
	return nil, nil
}

// onlyOne refuses to choose between two volumes of one name. Their makers gave way unless they died; which of the two has a user's files can then only be
// seen by looking.
func (s *Scheduler) onlyOne(ctx context.Context, found []*api.HostVolumeStub) error {
	if len(found) < 2 {
		return nil
	}
	again, err := s.awaitRivals(ctx, found[0].Name, found)
	if err != nil || len(again) < 2 {
		return err
	}
	places := make([]string, len(again))
	for i, stub := range again {
		places[i] = stub.ID + " on node " + stub.NodeID
	}
	return &scheduler.RejectedError{
		Reason: fmt.Sprintf("Nomad has %d volumes for the server's files, and the hub cannot tell which is the right one (%s). An operator must look, and delete the others.",
			len(again), strings.Join(places, ", ")),
		Err: fmt.Errorf("volume %s: not the only one", found[0].Name),
	}
}

// createOn asks Nomad to make the volume on that machine, if the machine meets the conditions, and returns Nomad's ID of it.
func (s *Scheduler) createOn(ctx context.Context, v scheduler.Volume, machine *api.NodeListStub) (string, error) {
	// With NodeID, Nomad would not look at the conditions; without, it would take the first machine that meets them, down or full.
	constraints := []*api.Constraint{{LTarget: "${node.unique.id}", Operand: "=", RTarget: machine.ID}}
	for _, c := range v.Placement.Constraints {
		constraints = append(constraints, &api.Constraint{LTarget: c.Attribute, Operand: cmp.Or(c.Operator, "="), RTarget: c.Value})
	}
	request := &api.HostVolumeCreateRequest{Volume: &api.HostVolume{
		Namespace: s.opts.Namespace, Name: s.volumeName(v.ID), PluginID: cmp.Or(v.Plugin, builtInPlugin),
		NodePool: v.Placement.NodePool, Constraints: constraints, Parameters: v.Parameters,
		RequestedCapacityMinBytes: v.MinMB << 20, RequestedCapacityMaxBytes: v.MaxMB << 20,
		RequestedCapabilities: capabilities(v),
	}}
	answer, _, err := s.client.HostVolumes().Create(request, s.write(ctx))
	if err != nil {
		return "", s.createError(ctx, v, err)
	}
	return answer.Volume.ID, nil
}

// capabilities are what was asked for, and beside it what read-only mounts need: shared volumes have both.
func capabilities(v scheduler.Volume) []*api.HostVolumeCapability {
	attachment := api.HostVolumeAttachmentMode(cmp.Or(v.AttachmentMode, string(api.HostVolumeAttachmentModeFilesystem)))
	access := api.HostVolumeAccessMode(cmp.Or(v.AccessMode, string(api.HostVolumeAccessModeSingleNodeWriter)))
	list := []*api.HostVolumeCapability{{AttachmentMode: attachment, AccessMode: access}}
	if access != api.HostVolumeAccessModeSingleNodeReader {
		list = append(list, &api.HostVolumeCapability{AttachmentMode: attachment, AccessMode: api.HostVolumeAccessModeSingleNodeReader})
	}
	return list
}

// hostVolumesNamed returns the volumes of exactly that name, the first made first. With an index it waits for a change, a second at most.
func (s *Scheduler) hostVolumesNamed(ctx context.Context, name string, index uint64) ([]*api.HostVolumeStub, uint64, error) {
	stubs, last, err := s.listHostVolumes(ctx, name, index)
	stubs = slices.DeleteFunc(stubs, func(stub *api.HostVolumeStub) bool { return stub.Name != name })
	slices.SortFunc(stubs, func(a, b *api.HostVolumeStub) int {
		return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), strings.Compare(a.ID, b.ID))
	})
	return stubs, last, err
}

func (s *Scheduler) listHostVolumes(ctx context.Context, prefix string, index uint64) ([]*api.HostVolumeStub, uint64, error) {
	q := s.query(ctx)
	q.Prefix, q.WaitIndex, q.WaitTime = prefix, index, time.Second
	stubs, meta, err := s.client.HostVolumes().List(nil, q)
	if err != nil {
		return nil, 0, translate(ctx, "listing volumes", err)
	}
	return stubs, meta.LastIndex, nil
}

// awaitHostVolume waits until the machine has the volume ready, or cannot be reached.
func (s *Scheduler) awaitHostVolume(ctx context.Context, nomadID string) (scheduler.VolumeState, error) {
	var index uint64
	for {
		q := s.query(ctx)
		q.WaitIndex, q.WaitTime = index, 2*time.Second
		volume, meta, err := s.client.HostVolumes().Get(nomadID, q)
		if err != nil {
			return scheduler.VolumeState{}, translate(ctx, "waiting for the volume", err)
		}
		at, err := s.placeOfVolume(ctx, volume)
		if err != nil || volume.State != api.HostVolumeStatePending || at.trouble() != "" {
			return s.hostState(volume, at), err
		}
		index = nextIndex(index, meta.LastIndex)
	}
}

func (s *Scheduler) readHostVolume(ctx context.Context, nomadID string) (scheduler.VolumeState, error) {
	volume, _, err := s.client.HostVolumes().Get(nomadID, s.query(ctx))
	if err != nil {
		return scheduler.VolumeState{}, translate(ctx, "reading the volume", err)
	}
	return s.stateOfHostVolume(ctx, volume)
}

func (s *Scheduler) readHostVolumeOn(ctx context.Context, nomadID string, machines map[string]*api.NodeListStub) (scheduler.VolumeState, error) {
	volume, _, err := s.client.HostVolumes().Get(nomadID, s.query(ctx))
	if err != nil {
		return scheduler.VolumeState{}, translate(ctx, "reading the volume", err)
	}
	return s.hostState(volume, placeOf(machines[volume.NodeID])), nil
}

func (s *Scheduler) stateOfHostVolume(ctx context.Context, volume *api.HostVolume) (scheduler.VolumeState, error) {
	at, err := s.placeOfVolume(ctx, volume)
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	return s.hostState(volume, at), nil
}

func (s *Scheduler) placeOfVolume(ctx context.Context, volume *api.HostVolume) (place, error) {
	node, _, err := s.client.Nodes().Info(volume.NodeID, s.query(ctx))
	err = translate(ctx, "reading the volume's machine", err)
	switch {
	case errors.Is(err, scheduler.ErrNotFound):
		return place{}, nil
	case err != nil:
		return place{}, err
	}
	return place{
		known: true, name: node.Name, status: node.Status, draining: node.Drain, eligible: node.SchedulingEligibility == api.NodeSchedulingEligible,
	}, nil
}

// place is what is known of a volume's machine.
type place struct {
	known              bool
	name, status       string
	eligible, draining bool
}

func placeOf(stub *api.NodeListStub) place {
	if stub == nil {
		return place{}
	}
	return place{
		known: true, name: stub.Name, status: stub.Status, draining: stub.Drain, eligible: stub.SchedulingEligibility == api.NodeSchedulingEligible,
	}
}

func (s *Scheduler) hostState(volume *api.HostVolume, at place) scheduler.VolumeState {
	state := scheduler.VolumeState{
		ID: s.volumeID(volume.Name), Kind: scheduler.MountDynamic, Name: volume.Name,
		Node: cmp.Or(at.name, volume.NodeID), NodeID: volume.NodeID,
		InUse: anyUse(volume.Allocations), CapacityMB: volume.CapacityBytes >> 20,
	}
	if why := cmp.Or(at.trouble(), troubleOf(volume.State)); why != "" {
		state.Reason = "The server's files are on the machine " + state.Node + ", which " + why
	}
	state.Ready = state.Reason == ""
	return state
}

// trouble tells why a machine cannot run a server at this moment and what the server waits for, as the end of a sentence about it, or returns "".
func (p place) trouble() string {
	switch {
	case !p.known:
		return "the cluster no longer knows. Ask the administrator to bring it back."
	case p.status == api.NodeStatusDown, p.status == "disconnected":
		return "is not reachable. The server waits for it; nothing is lost."
	case p.draining:
		return "is being emptied for maintenance. The server waits until it is back."
	case !p.eligible:
		return "takes no new servers at this moment. The server waits until an administrator allows them again."
	case p.status != api.NodeStatusReady:
		return "is just starting. The server waits for it."
	}
	return ""
}

func troubleOf(state api.HostVolumeState) string {
	switch state {
	case api.HostVolumeStateUnavailable:
		return "cannot open them. Ask the administrator to look at the volume there."
	case api.HostVolumeStatePending:
		return "is still preparing them."
	case api.HostVolumeStateReady:
	}
	return ""
}

func (s *Scheduler) deleteHostVolumes(ctx context.Context, id string) error {
	found, _, err := s.hostVolumesNamed(ctx, s.volumeName(id), 0)
	if err != nil {
		return err
	}
	for _, stub := range found {
		volume, _, err := s.client.HostVolumes().Get(stub.ID, s.query(ctx))
		if err = translate(ctx, "reading the volume", err); errors.Is(err, scheduler.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := inUse(volume.Name, volume.Allocations); err != nil {
			return err
		}
		_, _, err = s.client.HostVolumes().Delete(&api.HostVolumeDeleteRequest{ID: stub.ID}, s.write(ctx))
		if err != nil && !isGone(err) {
			return s.deleteError(ctx, volume, err)
		}
	}
	return nil
}

// deleteError looks again why Nomad did not delete a volume: its API tells no reason but in words.
func (s *Scheduler) deleteError(ctx context.Context, volume *api.HostVolume, err error) error {
	if again, _, readErr := s.client.HostVolumes().Get(volume.ID, s.query(ctx)); readErr == nil {
		if used := inUse(volume.Name, again.Allocations); used != nil {
			return used
		}
		if state, stateErr := s.stateOfHostVolume(ctx, again); stateErr == nil && !state.Ready {
			return fmt.Errorf("nomad: deleting a volume: %w: it is on the machine %s: %w", scheduler.ErrUnavailable, state.Node, err)
		}
	}
	return translate(ctx, "deleting the volume", err)
}

// isGone reports that there was nothing to delete.
func isGone(err error) bool {
	code := statusCode(err)
	return code == http.StatusNotFound || code == http.StatusInternalServerError && strings.Contains(body(err), "no such volume")
}
