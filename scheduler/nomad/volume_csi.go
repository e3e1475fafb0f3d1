package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// CSI volumes. Nomad keeps their IDs unique, and making one that exists changes only what may be changed, so two makers at one instant end with one volume as
// far as Nomad is concerned, and as far as the plugin keeps to its specification, which asks the same of it for one name.

func (s *Scheduler) ensureCSI(ctx context.Context, v scheduler.Volume) (scheduler.VolumeState, error) {
	found, err := s.readCSI(ctx, v.ID)
	if errors.Is(err, scheduler.ErrNotFound) {
		if err := s.createCSI(ctx, v); err != nil {
			return scheduler.VolumeState{}, err
		}
		found, err = s.readCSI(ctx, v.ID)
	}
	if err != nil {
		return scheduler.VolumeState{}, err
	}
	return s.stateOfCSI(found), nil
}

func (s *Scheduler) createCSI(ctx context.Context, v scheduler.Volume) error {
	name := s.volumeName(v.ID)
	access := api.CSIVolumeAccessMode(cmp.Or(v.AccessMode, string(api.CSIVolumeAccessModeSingleNodeWriter)))
	attachment := api.CSIVolumeAttachmentMode(cmp.Or(v.AttachmentMode, string(api.CSIVolumeAttachmentModeFilesystem)))
	_, _, err := s.client.CSIVolumes().Create(&api.CSIVolume{
		ID: name, Name: name, Namespace: s.opts.Namespace, PluginID: v.Plugin,
		Parameters: v.Parameters, Secrets: v.Secrets,
		RequestedCapacityMin: v.MinMB << 20, RequestedCapacityMax: v.MaxMB << 20,
		RequestedCapabilities: []*api.CSIVolumeCapability{{AccessMode: access, AttachmentMode: attachment}},
	}, s.write(ctx))
	if err == nil {
		return nil
	}
	code := statusCode(err)
	if ctx.Err() == nil && (code == http.StatusBadRequest || code == http.StatusInternalServerError && !isDisturbance(body(err))) {
		return &scheduler.RejectedError{Reason: whyNoCSI(v, withoutSecrets(body(err), v.Secrets)), Err: errors.New(withoutSecrets(err.Error(), v.Secrets))}
	}
	return translate(ctx, "making the volume", err)
}

// withoutSecrets keeps what a plugin repeats of its secrets out of pages and logs.
func withoutSecrets(text string, secrets map[string]string) string {
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}

func whyNoCSI(v scheduler.Volume, says string) string {
	const begins = "The volume for the server's files cannot be made: "
	switch {
	case strings.Contains(says, "no CSI plugin named"), strings.Contains(says, "plugin not found"):
		return fmt.Sprintf("%sthe cluster has no CSI plugin %q. An administrator must run its job or mend the profile.", begins, v.Plugin)
	case strings.Contains(says, "plugin has no controller"), strings.Contains(says, "does not support creating volumes"):
		return fmt.Sprintf("%sthe CSI plugin %q makes no volumes. An administrator must make it, and name it in the profile as an existing one.", begins, v.Plugin)
	case strings.Contains(says, "ResourceExhausted"), strings.Contains(says, "OutOfRange"), strings.Contains(says, "quota"):
		return begins + "the storage has no room of that size left. Delete what is no longer needed, or ask the administrator. " + cmp.Or(storageSays(says), nomadSays(says))
	}
	return begins + cmp.Or(storageSays(says), sentence(plain(says)))
}

func (s *Scheduler) readCSI(ctx context.Context, id string) (*api.CSIVolume, error) {
	volume, _, err := s.client.CSIVolumes().Info(s.volumeName(id), s.query(ctx))
	return volume, translate(ctx, "reading the volume", err)
}

func (s *Scheduler) stateOfCSI(volume *api.CSIVolume) scheduler.VolumeState {
	state := scheduler.VolumeState{
		ID: s.volumeID(volume.ID), Kind: scheduler.MountCSI, Name: volume.ID,
		InUse: anyUse(volume.Allocations), CapacityMB: volume.Capacity >> 20, Ready: volume.Schedulable,
	}
	if !state.Ready {
		state.Reason = csiNotReady(volume.PluginID, volume.ControllerRequired, volume.ControllersHealthy, volume.NodesHealthy)
	}
	return state
}

func csiNotReady(plugin string, controllerRequired bool, controllers, nodes int) string {
	what := "no machine"
	if controllerRequired && controllers == 0 && nodes > 0 {
		what = "no controller"
	}
	return fmt.Sprintf("The server's files are on a volume of the CSI plugin %q, of which %s is healthy. The server waits for it; nothing is lost.", plugin, what)
}

// listCSI returns the CSI volumes of ours, from one list.
func (s *Scheduler) listCSI(ctx context.Context) ([]scheduler.VolumeState, error) {
	q := s.query(ctx)
	q.Prefix = s.opts.JobPrefix
	stubs, _, err := s.client.CSIVolumes().List(q)
	if err != nil {
		return nil, translate(ctx, "listing CSI volumes", err)
	}
	var all []scheduler.VolumeState
	for _, stub := range stubs {
		id, ours := strings.CutPrefix(stub.ID, s.opts.JobPrefix)
		if !ours || !validID(id) {
			continue
		}
		state := scheduler.VolumeState{
			ID: id, Kind: scheduler.MountCSI, Name: stub.ID, Ready: stub.Schedulable, InUse: stub.CurrentReaders+stub.CurrentWriters > 0,
		}
		if !state.Ready {
			state.Reason = csiNotReady(stub.PluginID, stub.ControllerRequired, stub.ControllersHealthy, stub.NodesHealthy)
		}
		all = append(all, state)
	}
	return all, nil
}

func (s *Scheduler) deleteCSI(ctx context.Context, id string) error {
	volume, err := s.readCSI(ctx, id)
	if errors.Is(err, scheduler.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := inUse(volume.ID, volume.Allocations); err != nil {
		return err
	}
	// Nomad finds plugin, secrets and the storage's own ID by its own.
	err = s.client.CSIVolumes().DeleteOpts(&api.CSIVolumeDeleteRequest{ExternalVolumeID: volume.ID}, s.write(ctx))
	if err == nil || statusCode(err) == http.StatusNotFound {
		return nil
	}
	if again, readErr := s.readCSI(ctx, id); errors.Is(readErr, scheduler.ErrNotFound) {
		return nil
	} else if readErr == nil {
		if used := inUse(again.ID, again.Allocations); used != nil {
			return used
		}
	}
	return translate(ctx, "deleting the volume", err)
}
