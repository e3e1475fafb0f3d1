package nomad

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// The keys of the metadata of a job that keeps images, and of its groups.
const (
	metaWarm   = "nomadhub_warm"   // which images it keeps, as a digest: equal jobs need not be registered again
	metaImage  = "nomadhub_image"  // of a group
	metaDriver = "nomadhub_driver" // of a group
)

const (
	warmPriority = 10 // anything else may push it aside
	warmMemory   = 10 // MiB, the least that Nomad accepts
	warmCPU      = 1  // MHz
	warmDisk     = 20 // MB; its logs are smaller
)

// warmWait is what runs in an image that is kept: a shell that waits to be told to end. A container that runs keeps its image from being removed, which
// pulling alone does not: engines forget an unused image within minutes.
const warmWait = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"

var _ scheduler.Warmer = (*Scheduler)(nil)

// Warm implements [scheduler.Warmer] with one system job for each node pool, which has one group for each image.
func (s *Scheduler) Warm(ctx context.Context, images []scheduler.WarmImage) error {
	wanted := map[string]*api.Job{}
	for pool, kept := range byPool(images) {
		job := s.warmJob(pool, kept)
		wanted[*job.ID] = job
	}
	existing, err := s.listWarm(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, stub := range existing {
		job := wanted[stub.ID]
		if job == nil {
			_, _, err := s.client.Jobs().DeregisterOpts(stub.ID, &api.DeregisterOptions{Purge: true}, s.write(ctx))
			errs = append(errs, ignoreNotFound(translate(ctx, "ending a job that kept images", err)))
			continue
		}
		if job.Meta[metaWarm] == stub.Meta[metaWarm] && !stub.Stop {
			delete(wanted, stub.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(wanted)) {
		_, _, err := s.client.Jobs().Register(wanted[id], s.write(ctx))
		errs = append(errs, translate(ctx, "registering a job that keeps images", err))
	}
	return errors.Join(errs...)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, scheduler.ErrNotFound) {
		return nil
	}
	return err
}

// byPool sorts images by pool, each once, in an order that does not change.
func byPool(images []scheduler.WarmImage) map[string][]scheduler.WarmImage {
	pools := map[string][]scheduler.WarmImage{}
	for _, image := range images {
		image.Pool = cmp.Or(image.Pool, api.NodePoolDefault)
		pools[image.Pool] = append(pools[image.Pool], image)
	}
	for pool, kept := range pools {
		slices.SortFunc(kept, func(a, b scheduler.WarmImage) int {
			return cmp.Or(strings.Compare(a.Driver, b.Driver), strings.Compare(a.Image, b.Image))
		})
		pools[pool] = slices.Compact(kept)
	}
	return pools
}

// warmPrefix begins the ID of each job that keeps images. No server's job begins so: a server's ID has no underscore.
func (s *Scheduler) warmPrefix() string { return s.opts.JobPrefix + "warm_" }

func (s *Scheduler) warmJob(pool string, images []scheduler.WarmImage) *api.Job {
	id := s.warmPrefix() + pool
	job := api.NewSystemJob(id, id, "", warmPriority)
	job.Region = nil
	if s.opts.Region != "" {
		job.Region = &s.opts.Region
	}
	job.Namespace, job.NodePool, job.Datacenters = &s.opts.Namespace, &pool, []string{"*"}
	sum := sha256.New()
	for _, image := range images {
		fmt.Fprintf(sum, "%s\n%s\n", image.Driver, image.Image)
		job.AddTaskGroup(warmGroup(image))
	}
	job.SetMeta(metaWarm, hex.EncodeToString(sum.Sum(nil)[:12]))
	return job
}

func warmGroup(image scheduler.WarmImage) *api.TaskGroup {
	sum := sha256.Sum256([]byte(image.Driver + "\n" + image.Image))
	group := api.NewTaskGroup("image-"+hex.EncodeToString(sum[:6]), 1)
	group.SetMeta(metaImage, image.Image)
	group.SetMeta(metaDriver, image.Driver)
	group.EphemeralDisk = &api.EphemeralDisk{SizeMB: new(warmDisk)}
	task := api.NewTask("wait", image.Driver)
	task.Config = map[string]any{
		"image": image.Image, "entrypoint": []string{"/bin/sh"}, "args": []string{"-c", warmWait}, "network_mode": "none",
	}
	task.Resources = &api.Resources{CPU: new(warmCPU), MemoryMB: new(warmMemory)}
	task.LogConfig = &api.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	group.AddTask(task)
	return group
}

// listWarm returns all jobs that keep images for this hub.
func (s *Scheduler) listWarm(ctx context.Context) ([]*api.JobListStub, error) {
	q := s.query(ctx)
	q.Prefix = s.warmPrefix()
	stubs, _, err := s.client.Jobs().ListOptions(&api.JobListOptions{Fields: &api.JobListFields{Meta: true}}, q)
	return stubs, translate(ctx, "listing jobs that keep images", err)
}

// Warmth implements [scheduler.Warmer]. A machine counts as one that could run an image if Nomad placed the group there.
func (s *Scheduler) Warmth(ctx context.Context) ([]scheduler.Warmth, error) {
	stubs, err := s.listWarm(ctx)
	if err != nil {
		return nil, err
	}
	var all []scheduler.Warmth
	for _, stub := range stubs {
		if stub.Stop {
			continue
		}
		kept, err := s.warmthOf(ctx, stub.ID)
		if err != nil {
			return nil, err
		}
		all = append(all, kept...)
	}
	return all, nil
}

func (s *Scheduler) warmthOf(ctx context.Context, jobID string) ([]scheduler.Warmth, error) {
	job, _, err := s.client.Jobs().Info(jobID, s.query(ctx))
	if err = translate(ctx, "reading a job that keeps images", err); err != nil {
		return nil, ignoreNotFound(err)
	}
	allocs, _, err := s.client.Jobs().Allocations(jobID, false, s.query(ctx))
	if err = ignoreNotFound(translate(ctx, "listing allocations that keep images", err)); err != nil {
		return nil, err
	}
	nodes, ready := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, alloc := range allocs {
		if alloc.DesiredStatus != api.AllocDesiredStatusRun {
			continue
		}
		mark(nodes, alloc.TaskGroup, alloc.NodeID)
		if alloc.ClientStatus == api.AllocClientStatusRunning {
			mark(ready, alloc.TaskGroup, alloc.NodeID)
		}
	}
	kept := make([]scheduler.Warmth, 0, len(job.TaskGroups))
	for _, group := range job.TaskGroups {
		kept = append(kept, scheduler.Warmth{
			WarmImage: scheduler.WarmImage{Driver: group.Meta[metaDriver], Image: group.Meta[metaImage], Pool: *job.NodePool},
			Nodes:     len(nodes[*group.Name]), Ready: len(ready[*group.Name]),
		})
	}
	return kept, nil
}

func mark(nodes map[string]map[string]bool, group, node string) {
	if nodes[group] == nil {
		nodes[group] = map[string]bool{}
	}
	nodes[group][node] = true
}
