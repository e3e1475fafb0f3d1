package nomad_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
	"github.com/nomadhub/nomadhub/scheduler/nomad"
)

// policyBlock is a rule of the policy beside that for the namespace.
var policyBlock = regexp.MustCompile(`(?m)^(host_volume|node|plugin)[^{]*\{\n[^}]*\}\n`)

// everyVolume does all that a hub does with volumes, and returns the first error. No CSI plugin runs here: to be refused for want of one is to be allowed.
func everyVolume(ctx context.Context, s *nomad.Scheduler, prefix string) error {
	if _, err := s.EnsureVolume(ctx, scheduler.Volume{ID: "v", Kind: scheduler.MountDynamic}); err != nil {
		return fmt.Errorf("make a volume: %w", err)
	}
	if _, err := s.VolumeByID(ctx, scheduler.MountDynamic, "v"); err != nil {
		return fmt.Errorf("read the volume: %w", err)
	}
	if err := s.DeleteVolume(ctx, scheduler.MountDynamic, "v"); err != nil {
		return fmt.Errorf("delete the volume: %w", err)
	}
	if _, err := s.Volumes(ctx); err != nil {
		return fmt.Errorf("list volumes: %w", err)
	}
	if _, err := s.VolumeByID(ctx, scheduler.MountCSI, "v"); !errors.Is(err, scheduler.ErrNotFound) {
		return fmt.Errorf("read a CSI volume: %w", err)
	}
	_, err := s.EnsureVolume(ctx, scheduler.Volume{ID: "v", Kind: scheduler.MountCSI, Plugin: "none"})
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); !ok || !strings.Contains(rejected.Reason, `no CSI plugin "none"`) {
		return fmt.Errorf("make a CSI volume: %w", err)
	}
	mounts := []scheduler.Mount{ // of what there is not, so that no machine takes it
		{Name: "home", Kind: scheduler.MountDynamic, Source: prefix + "none", Path: "/home/x"},
		{Name: "more", Kind: scheduler.MountCSI, Source: prefix + "none", Path: "/more"},
	}
	spec := scheduler.Spec{ID: "b", Generation: 1, Workload: scheduler.Workload{Driver: "exec", Mounts: mounts}}
	if err := s.Start(ctx, spec); err != nil {
		return fmt.Errorf("start with volumes: %w", err)
	}
	if err := s.Stop(ctx, "b", 1); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// discardVolumes removes what everyVolume left.
func (c *cluster) discardVolumes(t *testing.T, prefix string) {
	t.Helper()
	stubs, _, err := c.admin.HostVolumes().List(nil, &api.QueryOptions{Prefix: prefix})
	if err != nil {
		t.Error(err)
	}
	for _, stub := range stubs {
		if _, _, err := c.admin.HostVolumes().Delete(&api.HostVolumeDeleteRequest{ID: stub.ID}, nil); err != nil {
			t.Error(err)
		}
	}
}
