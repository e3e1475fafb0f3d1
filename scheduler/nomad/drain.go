package nomad

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// drain is an operator's wish that a machine be emptied.
type drain struct {
	leaveBy time.Time // zero: the machine waits for as long as it takes
}

// drains are the machines that are being emptied, by ID. The zero value knows of none.
type drains struct {
	mu      sync.RWMutex
	of      map[string]drain
	asked   time.Time // when all were last asked for
	watches int       // how many watches keep this up to date
}

// drainsAge is how old drains may be for a list where no watch keeps them up to date.
const drainsAge = 10 * time.Second

func drainOf(strategy *api.DrainStrategy) (drain, bool) {
	switch {
	case strategy == nil:
		return drain{}, false
	case strategy.Deadline < 0: // by force, at once
		return drain{leaveBy: strategy.StartedAt.UTC()}, true
	}
	return drain{leaveBy: strategy.ForceDeadline.UTC()}, true // zero without a deadline
}

// refresh reads which machines are being emptied.
func (d *drains) refresh(ctx context.Context, s *Scheduler) error {
	q := s.query(ctx)
	q.Filter = fmt.Sprintf("SchedulingEligibility == %q", api.NodeSchedulingIneligible) // what is emptied takes no new work
	stubs, _, err := s.client.Nodes().List(q)
	if err != nil {
		return translate(ctx, "listing machines", err)
	}
	now := make(map[string]drain)
	for _, stub := range stubs {
		if !stub.Drain {
			continue
		}
		node, _, err := s.client.Nodes().Info(stub.ID, s.query(ctx))
		if err = translate(ctx, "reading a machine", err); errors.Is(err, scheduler.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if found, ok := drainOf(node.DrainStrategy); ok {
			now[node.ID] = found
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of, d.asked = now, time.Now()
	return nil
}

// ensure refreshes what no watch keeps up to date. A token that may not see machines makes do without.
func (d *drains) ensure(ctx context.Context, s *Scheduler) {
	d.mu.Lock()
	fresh := d.watches > 0 && !d.asked.IsZero() || time.Since(d.asked) < drainsAge
	if !fresh {
		d.asked = time.Now() // whoever comes meanwhile does not ask again
	}
	d.mu.Unlock()
	if fresh {
		return
	}
	if err := d.refresh(ctx, s); err != nil && ctx.Err() == nil {
		s.opts.Logger.DebugContext(ctx, "machines that are being emptied could not be listed", "err", err)
	}
}

// watched counts the watches that keep this up to date.
func (d *drains) watched(by int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watches += by
}

// take reads an event of a machine. It reports whether that changed whether or until when the machine is being emptied, and how to say so.
func (d *drains) take(event *streamEvent) (changed bool, text string) {
	node := event.Payload.Node
	now, draining := drainOf(node.DrainStrategy)
	if event.Type == "NodeDeregistration" {
		draining = false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	before, was := d.of[node.ID]
	switch {
	case draining && (!was || !before.leaveBy.Equal(now.leaveBy)):
		if d.of == nil {
			d.of = make(map[string]drain)
		}
		d.of[node.ID] = now
		return true, drainSentence(node.Name, now.leaveBy)
	case !draining && was:
		delete(d.of, node.ID)
		return true, "The server's machine" + named(node.Name) + " is no longer being emptied. The server may stay."
	}
	return false, ""
}

// mark returns the view with what is known of its machine.
func (d *drains) mark(alloc *allocView) *allocView {
	if alloc == nil || d == nil {
		return alloc
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if found, ok := d.of[alloc.nodeID]; ok {
		marked := *alloc // which others may hold
		marked.drained, marked.leaveBy = true, found.leaveBy
		return &marked
	}
	return alloc
}

// drainSentence tells the owner of a server that an operator empties its machine.
func drainSentence(node string, leaveBy time.Time) string {
	if leaveBy.IsZero() {
		return "The server's machine" + named(node) + " is being emptied by an operator. Save your work, and move the server when it suits you."
	}
	return "The server's machine" + named(node) + " is being emptied by " + leaveBy.UTC().Format("15:04 MST") + ". Save your work, or move the server now."
}

// onNode returns an event with that text for each server on a machine that is to stay there.
func (t *tracker) onNode(ctx context.Context, s *Scheduler, nodeID, text string) ([]scheduler.Event, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, listTime, errNoContact)
	defer cancel()
	q := s.query(ctx)
	q.Filter = fmt.Sprintf("NodeID == %q and DesiredStatus == %q and JobID matches %q", nodeID, api.AllocDesiredStatusRun, "^"+t.prefix)
	q.Params = map[string]string{"resources": "true"}
	stubs, _, err := s.client.Allocations().List(q)
	if err != nil {
		return nil, translate(ctx, "listing the servers on a machine", err)
	}
	var events []scheduler.Event
	for _, stub := range stubs {
		tracked := t.jobs.get(stub.JobID)
		if tracked == nil || isTerminal(stub.ClientStatus) {
			continue
		}
		alloc := s.drains.mark(viewOfAllocStub(stub))
		view := tracked.generationOf(alloc)
		current := status(view, alloc, why{})
		events = append(events, newEvent(view, time.Now(), text, &current))
	}
	return events, nil
}

// stayUntilDeadline has a drain leave a server alone until the operator's deadline. Nomad moves an allocation of a service at once, unless its
// group may miss none ("max_parallel = 0"); what is left at the deadline is moved by force. A jobspec that says something else wins.
func stayUntilDeadline(job *api.Job) {
	if job.Type != nil && *job.Type != api.JobTypeService {
		return // batch jobs stay in any case
	}
	for _, group := range job.TaskGroups {
		if group.Migrate == nil {
			group.Migrate = &api.MigrateStrategy{MaxParallel: new(0)}
		}
	}
}
