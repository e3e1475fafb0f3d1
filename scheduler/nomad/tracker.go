package nomad

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// tracker turns Nomad's events into the contract's. An allocation's event does not say which generation it is of, so the
// tracker remembers each job's registrations as their events go by.
type tracker struct {
	prefix  string
	index   uint64 // of the list of jobs that it began with last
	jobs    byJob[trackedJob]
	foreign map[string]struct{} // jobs that are named like ours and are not
	drains  *drains             // nil: nothing is known of machines
}

type trackedJob struct {
	generations []jobView  // oldest first; of each generation the latest view
	newest      *allocView // the allocation placed last
	told        []tale     // at most one of each allocation
	blocked     string
}

// maxTold bounds of how many allocations of one job the tracker remembers what it told.
const maxTold = 8

// tale is how far an allocation was told.
type tale struct {
	alloc  string
	latest int64  // the time of the last task event
	index  uint64 // of the allocation; an event with the same or an older one is a repetition
	lost   bool   // the contact with its machine was lost
}

func newTracker(prefix string, views []jobView) *tracker {
	t := &tracker{prefix: prefix, jobs: newByJob[trackedJob](prefix, len(views)), foreign: make(map[string]struct{})}
	t.begin(views, 0)
	return t
}

// begin takes in a list of all jobs, as it was at that index. What was told before is kept, so that a connection after another repeats
// nothing, unless the index went back: then the cluster was restored from an older snapshot, and what it tells is new.
func (t *tracker) begin(views []jobView, index uint64) {
	if index < t.index {
		clear(t.jobs.of)
	}
	t.index = index
	listed := make(map[string]struct{}, len(views))
	for _, view := range views {
		listed[view.id] = struct{}{}
		delete(t.foreign, t.prefix+view.id)
		if tracked := t.jobs.of[view.id]; tracked != nil {
			tracked.update(view)
			continue
		}
		t.jobs.of[view.id] = &trackedJob{generations: []jobView{view}}
	}
	for id, tracked := range t.jobs.of {
		if _, ok := listed[id]; !ok && (tracked.newest == nil || isTerminal(tracked.newest.clientStatus)) {
			delete(t.jobs.of, id)
		}
	}
}

// maxForeign bounds how many jobs of others are remembered.
const maxForeign = 1000

// lacks reports whether an event shows that the registration of a job was missed: it tells of a living allocation of a job that is
// named like ours and not known. It says so once for each job.
func (t *tracker) lacks(event *streamEvent) bool {
	a := event.Payload.Allocation
	if a == nil || isTerminal(a.ClientStatus) || a.DesiredStatus == api.AllocDesiredStatusStop || !strings.HasPrefix(a.JobID, t.prefix) {
		return false
	}
	if _, known := t.foreign[a.JobID]; known || t.jobs.get(a.JobID) != nil {
		return false
	}
	if len(t.foreign) >= maxForeign {
		clear(t.foreign)
	}
	t.foreign[a.JobID] = struct{}{}
	return true
}

// translate returns what an event of Nomad means: nothing, or one thing or several.
func (t *tracker) translate(event *streamEvent) []scheduler.Event {
	switch {
	case event.Payload.Job != nil:
		return t.jobEvent(event.Type, event.Payload.Job)
	case event.Payload.Allocation != nil:
		return t.allocEvent(event)
	case event.Payload.Evaluation != nil:
		return t.evalEvent(event.Payload.Evaluation)
	}
	return nil
}

// deregistered is the type of the event of a job that was stopped or purged by Nomad's own commands.
const deregistered = "JobDeregistered"

func (t *tracker) jobEvent(kind string, job *api.Job) []scheduler.Event {
	if job.ID == nil || job.JobModifyIndex == nil || !strings.HasPrefix(*job.ID, t.prefix) {
		return nil
	}
	view := viewOfJob(job)
	if view.id == "" || *job.ID != t.prefix+view.id {
		return nil
	}
	if kind == deregistered && !view.stopped {
		view.stopped, view.purged = true, true // what Nomad shows of a purged job is what it was before
	}
	tracked := t.jobs.get(*job.ID)
	if tracked == nil {
		tracked = &trackedJob{}
		t.jobs.of[view.id] = tracked
	}
	began := tracked.update(view)
	ended := view.stopped && (tracked.newest == nil || isTerminal(tracked.newest.clientStatus))
	if kind == deregistered && ended {
		t.jobs.remove(*job.ID)
	}
	if !began {
		return nil
	}
	current := status(view, t.drains.mark(tracked.newest), why{})
	text := "Nomad has accepted the server."
	if view.stopped {
		text = withDefault(current.Reason, "The server is being stopped.")
		if current.State != scheduler.Dead {
			text = "The server is being stopped."
		}
	}
	return []scheduler.Event{newEvent(view, time.Now(), text, &current)}
}

// update takes a view in and reports whether it tells something new: a generation, or the end of one.
func (j *trackedJob) update(view jobView) bool {
	at := slices.IndexFunc(j.generations, func(known jobView) bool { return known.generation == view.generation })
	if at < 0 {
		j.generations = append(j.generations, view)
		// Only the newest two can still have allocations that Nomad talks of.
		j.generations = j.generations[max(0, len(j.generations)-2):]
		j.blocked = ""
		return true
	}
	known := &j.generations[at]
	if view.index < known.index {
		return false // a repeated event
	}
	changed := view.stopped != known.stopped || view.purged != known.purged
	if view.registered == 0 || (!view.stopped && known.registered < view.registered) {
		view.registered = known.registered // the same generation, changed by somebody
	}
	*known = view
	return changed
}

// generationOf returns the generation that an allocation belongs to.
func (j *trackedJob) generationOf(alloc *allocView) jobView {
	for _, view := range slices.Backward(j.generations) {
		if view.registered < alloc.created {
			return view
		}
	}
	return j.generations[0]
}

func (t *tracker) allocEvent(event *streamEvent) []scheduler.Event {
	tracked := t.jobs.get(event.Payload.Allocation.JobID)
	if tracked == nil {
		return nil // not ours, or purged and over
	}
	seen, kept := event.alloc()
	alloc := t.drains.mark(seen)
	if told, known := tracked.tale(alloc.id); known && alloc.index != 0 && alloc.index <= told.index {
		return nil // repeated, by this connection or the next
	}
	view := tracked.generationOf(alloc)
	current := status(view, alloc, why{})
	events := tracked.tell(alloc, view)
	if tracked.newest == nil || tracked.newest.created <= alloc.created {
		tracked.newest, tracked.blocked = kept, ""
	}
	if len(events) == 0 {
		events = []scheduler.Event{newEvent(view, time.Unix(0, alloc.modified), "", nil)}
	}
	last := &events[len(events)-1]
	if next := tracked.newest; next.id != alloc.id && tracked.generationOf(next).generation == view.generation {
		// Nomad placed the server anew: this run of it ends, and the server does not.
		if current.State == scheduler.Dead {
			last.Message = placedAnew(current)
		}
		return events
	}
	last.Status = &current
	if current.State == scheduler.Dead {
		last.Message = current.Reason
	}
	return events
}

// placedAnew tells of the end of a run that another one of the same generation follows.
func placedAnew(ended scheduler.Status) string {
	if ended.Cause == scheduler.CauseDrained {
		return "The server's machine" + named(ended.Node) + " was emptied. The server is started on another one."
	}
	return ended.Reason + " Nomad starts it again."
}

// tell returns an event for the placement, if it is new, and for each task event that was not told before.
func (j *trackedJob) tell(alloc *allocView, view jobView) []scheduler.Event {
	var events []scheduler.Event
	before, known := j.tale(alloc.id)
	since := before.latest
	if !known && !isTerminal(alloc.clientStatus) && len(alloc.tasks) == 0 {
		events = append(events, newEvent(view, time.Unix(0, alloc.modified), "A machine was found"+colon(alloc.node)+".", nil))
	}
	latest := since
	for _, event := range taskEvents(alloc, since) {
		latest = max(latest, event.Time)
		if text := message(event); text != "" && event.Type != api.TaskClientReconnected { // told below
			events = append(events, newEvent(view, time.Unix(0, event.Time), text, nil))
		}
	}
	lost := alloc.clientStatus == api.AllocClientStatusUnknown
	if text := contact(before.lost, lost, alloc); text != "" {
		events = append(events, newEvent(view, time.Unix(0, alloc.modified), text, nil))
	}
	j.remember(tale{alloc.id, latest, alloc.index, lost})
	return events
}

// tale returns how far an allocation was told.
func (j *trackedJob) tale(alloc string) (told tale, known bool) {
	at := slices.IndexFunc(j.told, func(t tale) bool { return t.alloc == alloc })
	if at < 0 {
		return tale{}, false
	}
	return j.told[at], true
}

func (j *trackedJob) remember(told tale) {
	if at := slices.IndexFunc(j.told, func(t tale) bool { return t.alloc == told.alloc }); at >= 0 {
		j.told[at] = told
		return
	}
	if len(j.told) >= maxTold {
		j.told = j.told[:0] // at worst a sentence about an allocation long gone is told again
	}
	j.told = append(j.told, told)
}

// contact tells how the contact with a server's machine changed; "" if it did not.
func contact(was, lost bool, alloc *allocView) string {
	switch {
	case lost && !was:
		return lostSentence(alloc.node)
	case was && !lost && alloc.clientStatus == api.AllocClientStatusRunning:
		return "The server's machine" + named(alloc.node) + " is back, with the same kernels."
	}
	return ""
}

func colon(node string) string {
	if node == "" {
		return ""
	}
	return ":" + named(node)
}

func (t *tracker) evalEvent(eval *api.Evaluation) []scheduler.Event {
	tracked := t.jobs.get(eval.JobID)
	if tracked == nil || len(eval.FailedTGAllocs) == 0 {
		return nil
	}
	view := tracked.generations[len(tracked.generations)-1]
	blocked := blockedReason(eval.FailedTGAllocs)
	if view.stopped || view.owns(tracked.newest) || blocked == (why{}) || blocked.reason == tracked.blocked {
		return nil
	}
	tracked.blocked = blocked.reason
	current := status(view, t.drains.mark(tracked.newest), blocked)
	return []scheduler.Event{newEvent(view, time.Unix(0, eval.ModifyTime), blocked.reason, &current)}
}

func newEvent(view jobView, at time.Time, text string, current *scheduler.Status) scheduler.Event {
	return scheduler.Event{ID: view.id, Generation: view.generation, Time: at, Message: text, Status: current}
}
