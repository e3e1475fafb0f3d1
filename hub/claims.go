package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// defaultGrace is how long what was given up can be taken back where the profile does not say.
const defaultGrace = 14 * 24 * time.Hour

// claimPatience bounds one attempt to have all volumes of a start ready; then the next begins, as long as the start may take.
const claimPatience = time.Minute

// claimVolumes makes sure that every volume exists that a start needs, and returns how the server mounts them. The same owner finds the same volume
// under the same name, whatever the profile. It is idempotent, so a start that was cut short goes on where it was.
//
// A *scheduler.RejectedError says that the server cannot be started with these volumes; any other error may pass.
func (h *Hub) claimVolumes(ctx context.Context, s Server, u User, claims []profile.Claim) ([]scheduler.Mount, error) {
	ctx, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	mounts := make([]scheduler.Mount, 0, len(claims))
	for _, c := range claims {
		mount, err := h.claimVolume(ctx, s, u, c)
		if err != nil {
			return nil, fmt.Errorf("claim the volume %q: %w", c.Name, err)
		}
		mounts = append(mounts, mount)
	}
	return mounts, nil
}

func (h *Hub) claimVolume(ctx context.Context, s Server, u User, c profile.Claim) (scheduler.Mount, error) {
	mount := withModes(c)
	switch {
	case mount.Kind == scheduler.MountSticky:
		mount.Source = ""
		return mount, nil
	case mount.Kind == scheduler.MountHost, c.Existing != "": // the operator's own: there is nothing to make, and never anything to delete
		mount.Source = cmp.Or(c.Existing, mount.Source)
		if mount.Source == "" {
			return mount, misclaimed(c, "names no volume of the cluster")
		}
		return mount, nil
	}
	keeper, err := h.keeperFor(c)
	if err != nil {
		return mount, err
	}
	v, err := h.claimRow(ctx, s, u, c)
	if err != nil {
		return mount, err
	}
	if keeper == nil { // a container engine makes it by itself, on the machine where the server runs
		mount.Source = engineVolume(v.ID)
		return mount, h.noteVolume(ctx, v, scheduler.VolumeState{Name: mount.Source})
	}
	if v.State == VolumeMaking {
		h.journals.say(s, 0, "A place for the server's files is being made.")
	}
	st, err := h.provide(ctx, keeper, v, c)
	if err != nil {
		return mount, err
	}
	if !st.Ready && st.Reason != "" {
		h.journals.say(s, 0, st.Reason)
	}
	mount.Source = st.Name
	return mount, h.noteVolume(ctx, v, st)
}

// withModes is how a claim is mounted. A cluster that is not told takes the least for a mount, which need not be what the volume was made with.
func withModes(c profile.Claim) scheduler.Mount {
	mount := c.Mount
	if mount.Kind == "" {
		mount.Kind = c.Volume.Kind
	}
	if !mount.ReadOnly {
		mount.AccessMode = cmp.Or(mount.AccessMode, c.Volume.AccessMode)
	}
	mount.AttachmentMode = cmp.Or(mount.AttachmentMode, c.Volume.AttachmentMode)
	return mount
}

// engineVolume is what a container engine calls a volume of ours.
func engineVolume(id string) string { return "nomadhub-" + id }

// keeperFor returns who makes the claim's volume in the cluster, or nil if nobody need.
func (h *Hub) keeperFor(c profile.Claim) (scheduler.VolumeKeeper, error) {
	switch kind := withModes(c).Kind; kind {
	case scheduler.MountDocker:
		return nil, nil
	case scheduler.MountDynamic, scheduler.MountCSI:
		keeper, ok := h.opts.Scheduler.(scheduler.VolumeKeeper)
		if !ok {
			return nil, misclaimed(c, "needs a cluster, and this hub runs servers on its own machine")
		}
		return keeper, nil
	default:
		return nil, misclaimed(c, fmt.Sprintf("is of the unknown kind %q", kind))
	}
}

func misclaimed(c profile.Claim, what string) error {
	return &scheduler.RejectedError{
		Reason: fmt.Sprintf("The server's volume %q %s. An administrator must mend the profile.", c.Name, what),
		Err:    fmt.Errorf("volume %q of a profile: %s", c.Name, what),
	}
}

// claimRow finds the owner's volume of the claim's name, or writes the wish for it, and notes that the server mounts it.
func (h *Hub) claimRow(ctx context.Context, s Server, u User, c profile.Claim) (Volume, error) {
	var v Volume
	err := h.store.InTx(ctx, func(tx Store) error {
		now, err := tx.ServerByID(ctx, s.ID) // so that nothing is made for a server that is removed at this moment
		if err != nil {
			return err
		}
		if now.Generation != s.Generation {
			return ErrStale
		}
		want := newVolume(s, u, c)
		v, err = tx.VolumeByOwner(ctx, want.Owner())
		if errors.Is(err, ErrNotFound) {
			want.ID, want.Created = newID(), h.now()
			v, err = want, tx.CreateVolume(ctx, want)
		}
		if err != nil {
			return err
		}
		if v.State == VolumeMaking && v.Kind != want.Kind { // the profile was mended before anybody had files in it
			v.Kind = want.Kind
			if v, err = tx.UpdateVolume(ctx, v); err != nil {
				return err
			}
		}
		return tx.UseVolume(ctx, v.ID, s.ID, s.Generation, h.now())
	})
	if errors.Is(err, ErrExists) { // another server of the owner asked for it in the same instant
		return v, ErrStale
	}
	if err != nil {
		return v, err
	}
	if kind := withModes(c).Kind; v.Kind != kind {
		return v, misclaimed(c, fmt.Sprintf("is of the kind %s since it was made, and the profile %q asks for %s", v.Kind, s.Profile, kind))
	}
	return v, nil
}

func newVolume(s Server, u User, c profile.Claim) Volume {
	v := Volume{
		Share: c.Share, Name: c.Name, Profile: s.Profile, Kind: withModes(c).Kind, State: VolumeMaking,
		Retain: cmp.Or(c.Retain, profile.RetainKeep), Grace: c.Grace,
	}
	if v.Retain == profile.RetainGrace {
		v.Grace = cmp.Or(v.Grace, defaultGrace)
	}
	switch c.Share {
	case profile.ShareServer:
		v.UserID, v.UserName, v.ServerName = u.ID, u.Name, s.Name
	case profile.ShareUser, "":
		v.Share, v.UserID, v.UserName = profile.ShareUser, u.ID, u.Name
	case profile.ShareGroup:
		v.Group = c.Group
	case profile.ShareAll:
	}
	return v
}

// provide makes the volume in the cluster. One that was made before and is no longer there is not made anew: its files may be somewhere, and a server with an
// empty home would look as if they were not.
func (h *Hub) provide(ctx context.Context, keeper scheduler.VolumeKeeper, v Volume, c profile.Claim) (scheduler.VolumeState, error) {
	if v.State == VolumeReady {
		st, err := keeper.VolumeByID(ctx, v.Kind, v.ID)
		if errors.Is(err, scheduler.ErrNotFound) {
			return st, h.lostVolume(ctx, v)
		}
		return st, err
	}
	want := c.Volume
	want.ID, want.Kind = v.ID, v.Kind
	want.Labels = map[string]string{"share": string(v.Share), "user": v.UserName, "server": v.ServerName, "group": v.Group, "volume": v.Name}
	return keeper.EnsureVolume(ctx, want)
}

func (h *Hub) lostVolume(ctx context.Context, v Volume) error {
	reason := fmt.Sprintf("The volume %q with the server's files is no longer in the cluster%s. Ask the administrator where it is; "+
		"whoever deletes it in the hub begins with an empty one.", v.Name, onNode(v.Node))
	v.Note = reason
	if _, err := h.store.UpdateVolume(ctx, v); err != nil && !errors.Is(err, ErrStale) {
		return err
	}
	return &scheduler.RejectedError{Reason: reason, Err: fmt.Errorf("volume %s: %w", v.ID, scheduler.ErrNotFound)}
}

func onNode(node string) string {
	if node == "" {
		return ""
	}
	return " (it was on the machine " + node + ")"
}

// noteVolume keeps what the cluster says of a volume, if that is news.
func (h *Hub) noteVolume(ctx context.Context, v Volume, st scheduler.VolumeState) error {
	next := v
	next.State, next.Source, next.Note = VolumeReady, st.Name, ""
	next.Node, next.NodeID = cmp.Or(st.Node, v.Node), cmp.Or(st.NodeID, v.NodeID)
	next.CapacityMB = cmp.Or(st.CapacityMB, v.CapacityMB)
	if !st.Ready {
		next.Note = st.Reason
	}
	if next == v {
		return nil
	}
	_, err := h.store.UpdateVolume(ctx, next)
	if err == nil && v.State == VolumeMaking {
		h.log.InfoContext(ctx, "volume made", "volume_id", v.ID, "volume", v.Name, "share", v.Share, "user", v.UserName, "node", next.Node)
	}
	return err
}

// volumeNote is what a server's volumes say of themselves, which is more than the cluster knows to say of a server that waits for one; "" if all is well.
func (h *Hub) volumeNote(ctx context.Context, s Server) string {
	volumes, _, err := h.store.Volumes(ctx, VolumeQuery{ServerID: s.ID, States: []VolumeState{VolumeMaking, VolumeReady}})
	if err != nil {
		h.log.WarnContext(ctx, "volumes of a waiting server not read", "server_id", s.ID, "err", err)
		return ""
	}
	for _, v := range volumes {
		if v.Note != "" {
			return v.Note
		}
	}
	return ""
}

// blameDisk says that a disk is full where the server's last lines do. Its own end then tells only that it could not write.
func (f *Failure) blameDisk() {
	switch f.Cause {
	case "", scheduler.CauseExited, scheduler.CauseKilled, scheduler.CauseUnhealthy:
	default:
		return // it has a better reason
	}
	for _, line := range f.Log {
		switch {
		case strings.Contains(line, "No space left on device"):
			f.Message = "The disk with the server's files is full, so it could not write what it needs to start. " +
				"Ask the administrator to make room, or to delete files of yours; the files are safe. " + f.Message
		case strings.Contains(line, "Disk quota exceeded"):
			f.Message = "Your quota of disk is used up, so the server could not write what it needs to start. " +
				"Ask the administrator for more, or to delete files of yours; the files are safe. " + f.Message
		default:
			continue
		}
		f.Cause = scheduler.CauseVolume
		return
	}
}
