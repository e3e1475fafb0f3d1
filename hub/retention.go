package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/scheduler"
)

const (
	// retentionInterval is how often the elected replica looks for volumes whose time is over.
	retentionInterval = time.Minute
	// deletePatience bounds one attempt to delete one volume.
	deletePatience = 2 * time.Minute
)

// volumeWork wakes whoever deletes volumes in this process. Another replica that is elected for it looks every minute.
type volumeWork struct{ wake chan struct{} }

func (w *volumeWork) init() { w.wake = make(chan struct{}, 1) }

func (w *volumeWork) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// keepVolumes deletes volumes that are to be deleted, while this replica is elected.
func (h *Hub) keepVolumes(ctx context.Context) error {
	tick := time.NewTicker(retentionInterval)
	defer tick.Stop()
	for {
		if err := h.purgeVolumes(ctx); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "volumes not looked after, will be in a minute", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-h.volumes.wake:
		}
	}
}

// purgeVolumes decides about each volume whose time is over, then carries out what was decided, now or before.
func (h *Hub) purgeVolumes(ctx context.Context) error {
	due, _, err := h.store.Volumes(ctx, VolumeQuery{States: []VolumeState{VolumeReleased}, DueBefore: h.now()})
	if err != nil {
		return err
	}
	var errs []error
	for _, v := range due {
		errs = append(errs, h.condemn(ctx, v.ID))
	}
	condemned, _, err := h.store.Volumes(ctx, VolumeQuery{States: []VolumeState{VolumeDeleting}})
	errs = append(errs, err)
	for _, v := range condemned {
		errs = append(errs, h.deleteVolume(ctx, v))
	}
	return errors.Join(errs...)
}

// condemn marks a released volume whose time is over, unless it was taken back meanwhile or a server still mounts it.
func (h *Hub) condemn(ctx context.Context, id string) error {
	err := h.store.InTx(ctx, func(tx Store) error {
		v, err := tx.VolumeByID(ctx, id)
		if err != nil || v.State != VolumeReleased || v.DeleteAfter.IsZero() || v.DeleteAfter.After(h.now()) {
			return err
		}
		if err := notInUse(ctx, tx, v); err != nil {
			return err
		}
		v.State = VolumeDeleting
		_, err = tx.UpdateVolume(ctx, v)
		return err
	})
	if errors.Is(err, ErrNotFound) || KindOf(err) == Conflict { // gone, in use, or changed meanwhile: look again later
		return nil
	}
	return err
}

// deleteVolume deletes a volume in the cluster, then its row. What cannot be deleted now says why, and is tried again.
func (h *Hub) deleteVolume(ctx context.Context, v Volume) error {
	dctx, cancel := context.WithTimeout(ctx, deletePatience)
	defer cancel()
	err := h.deleteInCluster(dctx, v)
	if err == nil {
		if err := h.store.DeleteVolume(ctx, v.ID); err != nil {
			return err
		}
		h.log.InfoContext(ctx, "volume deleted with its files", "volume_id", v.ID, "volume", v.Name, "share", v.Share, "user", v.UserName,
			"server", v.ServerName, "group", v.Group, "source", v.Source, "node", v.Node, "retain", v.Retain, "released", v.Released)
		h.auditPurge(v)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.log.WarnContext(ctx, "volume not deleted yet, will be tried again", "volume_id", v.ID, "volume", v.Name, "node", v.Node, "err", err)
	note := "It could not be deleted yet, because the cluster or the machine that it is on cannot be reached. The hub goes on trying."
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		note = "It could not be deleted yet. " + rejected.Reason
	}
	if v.Note == note {
		return nil
	}
	v.Note = note
	if _, err := h.store.UpdateVolume(ctx, v); err != nil && !errors.Is(err, ErrStale) && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

func (h *Hub) deleteInCluster(ctx context.Context, v Volume) error {
	switch v.Kind {
	case scheduler.MountDynamic, scheduler.MountCSI:
	default: // no cluster deletes it; who runs the machine does
		h.log.WarnContext(ctx, "volume of a container engine is forgotten; its files stay on the machine until somebody deletes them there",
			"volume_id", v.ID, "source", v.Source, "user", v.UserName)
		return nil
	}
	keeper, ok := h.opts.Scheduler.(scheduler.VolumeKeeper)
	if !ok {
		return &scheduler.RejectedError{Reason: "This hub runs servers on its own machine and cannot reach the cluster.", Err: errors.New("no keeper of volumes")}
	}
	if err := keeper.DeleteVolume(ctx, v.Kind, v.ID); err != nil {
		return fmt.Errorf("delete volume %s: %w", v.ID, err)
	}
	return nil
}

// releaseVolumes gives up what belonged to a user, or to one of their servers, in the transaction that deletes them.
func (h *Hub) releaseVolumes(ctx context.Context, tx Store, userID string, serverName *string) error {
	_, err := tx.ReleaseVolumes(ctx, userID, serverName, h.now())
	return err
}
