package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/profile"
)

// VolumeInfo is a volume with the servers that mount it.
type VolumeInfo struct {
	Volume
	Uses []VolumeUse
}

// Active are the servers that mount it now.
func (v VolumeInfo) Active() []VolumeUse {
	return slices.DeleteFunc(slices.Clone(v.Uses), func(u VolumeUse) bool { return !u.Active })
}

// Fate says, in a sentence, what becomes of the volume when what it belongs to is deleted, or what is about to happen to it.
func (v Volume) Fate() string {
	switch v.State {
	case VolumeDeleting:
		return "It is being deleted."
	case VolumeReleased:
		if v.DeleteAfter.IsZero() {
			return "It is kept until an administrator deletes it."
		}
		return "It will be deleted after " + v.DeleteAfter.UTC().Format("2 January 2006 15:04 MST") + ", and can be taken back until then."
	case VolumeMaking, VolumeReady:
	}
	what := "its user is"
	switch v.Share {
	case profile.ShareServer:
		what = "its server or its user is"
	case profile.ShareGroup, profile.ShareAll:
		return "It stays until an administrator deletes it."
	case profile.ShareUser:
	}
	switch v.Retain {
	case profile.RetainDelete:
		return "It is deleted when " + what + " deleted."
	case profile.RetainGrace:
		return fmt.Sprintf("When %s deleted, it can be taken back for %s and is deleted then.", what, spanInWords(v.Grace))
	case profile.RetainKeep:
	}
	return "When " + what + " deleted, it is kept until an administrator deletes it."
}

func spanInWords(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// Volumes returns one page of volumes with their servers, and how many match in all.
func (h *Hub) Volumes(ctx context.Context, q VolumeQuery) ([]VolumeInfo, int, error) {
	list, total, err := h.store.Volumes(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	infos, err := h.withUses(ctx, list)
	return infos, total, err
}

func (h *Hub) withUses(ctx context.Context, list []Volume) ([]VolumeInfo, error) {
	ids := make([]string, len(list))
	for i, v := range list {
		ids[i] = v.ID
	}
	uses, err := h.store.VolumeUses(ctx, ids)
	if err != nil {
		return nil, err
	}
	of := make(map[string][]VolumeUse, len(list))
	for _, use := range uses {
		of[use.VolumeID] = append(of[use.VolumeID], use)
	}
	infos := make([]VolumeInfo, len(list))
	for i, v := range list {
		infos[i] = VolumeInfo{Volume: v, Uses: of[v.ID]}
	}
	return infos, nil
}

// VolumesOf returns the volumes that a user's servers mount or could mount: their own, those of their groups and those of everybody. Of shared ones, it tells
// only the user's own servers. Node says which machine a volume pins its servers to.
func (h *Hub) VolumesOf(ctx context.Context, u User) ([]VolumeInfo, error) {
	infos, _, err := h.Volumes(ctx, VolumeQuery{UserID: u.ID, Groups: u.Groups, Common: true})
	if err != nil {
		return nil, err
	}
	infos = slices.DeleteFunc(infos, func(v VolumeInfo) bool { return v.UserID != u.ID && !v.Live() })
	for i := range infos {
		infos[i].Uses = slices.DeleteFunc(infos[i].Uses, func(use VolumeUse) bool { return use.UserName != u.Name })
	}
	return infos, nil
}

// Volume returns one volume, or a NotFound [Error].
func (h *Hub) Volume(ctx context.Context, id string) (VolumeInfo, error) {
	v, err := h.store.VolumeByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return VolumeInfo{}, errNoVolume
	}
	if err != nil {
		return VolumeInfo{}, err
	}
	infos, err := h.withUses(ctx, []Volume{v})
	if err != nil {
		return VolumeInfo{}, err
	}
	return infos[0], nil
}

var errNoVolume = Errorf(NotFound, "There is no such volume.")

// DeleteVolume gives a volume up: its retention says when it is deleted, and until then [Hub.RestoreVolume] takes it back. With now it is deleted whatever
// its retention, which cannot be taken back. Conflict while a server that mounts it is active.
func (h *Hub) DeleteVolume(ctx context.Context, id string, now bool) (VolumeInfo, error) {
	return h.changeVolume(ctx, id, func(tx Store, v *Volume) error {
		if v.State == VolumeDeleting || v.State == VolumeReleased && !now {
			return nil
		}
		if err := notInUse(ctx, tx, *v); err != nil {
			return err
		}
		at := h.now()
		if v.Live() {
			v.State, v.Released, v.DeleteAfter = VolumeReleased, at, v.deleteAfter(at)
		}
		if now {
			v.State, v.DeleteAfter = VolumeDeleting, at
		}
		return nil
	})
}

// deleteAfter is when a volume that is given up at that time is deleted; zero: never by itself. [VolumeStore.ReleaseVolumes] does the same in the database.
func (v Volume) deleteAfter(now time.Time) time.Time {
	switch v.Retain {
	case profile.RetainDelete:
		return now
	case profile.RetainGrace:
		return now.Add(v.Grace)
	case profile.RetainKeep:
	}
	return time.Time{}
}

// RestoreVolume takes back a volume that was given up. Conflict if its owner has another of its name meanwhile, or if it is being deleted already; Invalid if
// its owner is gone.
func (h *Hub) RestoreVolume(ctx context.Context, id string) (VolumeInfo, error) {
	return h.changeVolume(ctx, id, func(tx Store, v *Volume) error {
		if v.Live() {
			return nil
		}
		if v.UserID != "" {
			_, err := tx.UserByID(ctx, v.UserID)
			if errors.Is(err, ErrNotFound) {
				return Errorf(Invalid, "The user %s, whose volume this was, is gone; somebody of the same name is somebody else. An administrator can give it to a user.", v.UserName)
			}
			if err != nil {
				return err
			}
		}
		return revive(v)
	})
}

// KeepVolume puts off the deletion of a volume that was given up, until an administrator decides. Conflict if it is being deleted already.
func (h *Hub) KeepVolume(ctx context.Context, id string) (VolumeInfo, error) {
	return h.changeVolume(ctx, id, func(_ Store, v *Volume) error {
		if v.State == VolumeDeleting {
			return errBeingDeleted
		}
		v.DeleteAfter = time.Time{}
		return nil
	})
}

var errBeingDeleted = Errorf(Conflict, "The volume is being deleted and cannot be taken back.")

// revive makes a released volume usable again.
func revive(v *Volume) error {
	if v.State == VolumeDeleting {
		return errBeingDeleted
	}
	v.State, v.Released, v.DeleteAfter, v.Note = VolumeReady, time.Time{}, time.Time{}, ""
	if v.Source == "" {
		v.State = VolumeMaking
	}
	return nil
}

// VolumeChange is what an administrator may change of a volume; nil leaves it.
type VolumeChange struct {
	Owner  *string // name of the user whose it shall be
	Server *string // with or without Owner: of the server of that name alone
	Name   *string // what profiles call it
}

// ChangeVolume gives a volume another owner or name, and takes it back if it was given up. Conflict if the owner has a live one of the name, or while a
// server that mounts it is active.
func (h *Hub) ChangeVolume(ctx context.Context, id string, c VolumeChange) (VolumeInfo, error) {
	return h.changeVolume(ctx, id, func(tx Store, v *Volume) error {
		if err := notInUse(ctx, tx, *v); err != nil {
			return err
		}
		if c.Name != nil {
			if err := validateName("volume's name", *c.Name, maxServerName); err != nil {
				return err
			}
			v.Name = *c.Name
		}
		if c.Owner != nil {
			u, err := tx.UserByName(ctx, NormalizeUserName(*c.Owner))
			if errors.Is(err, ErrNotFound) {
				return Errorf(Invalid, "There is no user named %q.", *c.Owner)
			}
			if err != nil {
				return err
			}
			v.UserID, v.UserName, v.Group = u.ID, u.Name, ""
			if v.Share != profile.ShareServer {
				v.Share = profile.ShareUser
			}
		}
		if c.Server != nil {
			if v.UserID == "" {
				return Errorf(Invalid, "A volume that is no user's cannot be one server's. Name the owner as well.")
			}
			v.Share, v.ServerName = profile.ShareServer, *c.Server
		}
		if c.Owner == nil && c.Server == nil {
			return nil
		}
		if _, err := tx.UserByID(ctx, v.UserID); errors.Is(err, ErrNotFound) {
			return Errorf(Invalid, "The user %s is gone. Name another owner.", v.UserName)
		} else if err != nil {
			return err
		}
		if v.Live() {
			return nil
		}
		return revive(v)
	})
}

// changeVolume reads a volume, lets change decide, and writes it if it differs.
func (h *Hub) changeVolume(ctx context.Context, id string, change func(tx Store, v *Volume) error) (VolumeInfo, error) {
	var before, after Volume
	err := h.store.InTx(ctx, func(tx Store) error {
		var err error
		if before, err = tx.VolumeByID(ctx, id); err != nil {
			return err
		}
		after = before
		if err := change(tx, &after); err != nil || after == before {
			return err
		}
		after, err = tx.UpdateVolume(ctx, after)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return VolumeInfo{}, errNoVolume
	case errors.Is(err, ErrExists):
		return VolumeInfo{}, Errorf(Conflict, "Its owner has a volume named %q already. Delete or rename that one first.", after.Name)
	case err != nil:
		return VolumeInfo{}, err
	}
	if after != before {
		h.log.InfoContext(ctx, "volume changed", "volume_id", id, "volume", after.Name, "user", after.UserName, "state", after.State,
			"delete_after", after.DeleteAfter)
		h.volumes.nudge()
	}
	infos, err := h.withUses(ctx, []Volume{after}) // it may be gone already
	if err != nil {
		return VolumeInfo{}, err
	}
	return infos[0], nil
}

// notInUse refuses while an active server mounts the volume.
func notInUse(ctx context.Context, tx Store, v Volume) error {
	uses, err := tx.VolumeUses(ctx, []string{v.ID})
	if err != nil {
		return err
	}
	var names []string
	for _, use := range (VolumeInfo{Uses: uses}).Active() {
		name := "the server of " + use.UserName
		if use.ServerName != "" {
			name = fmt.Sprintf("the server %q of %s", use.ServerName, use.UserName)
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		return Errorf(Conflict, "The volume is in use by %s. Stop what uses it first.", strings.Join(names, ", "))
	}
	return nil
}
