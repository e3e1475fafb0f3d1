package nomad

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/nomad/api"
)

const (
	// mirrorAge is for how long the mirror speaks after the last sign that the event stream lacks nothing.
	mirrorAge = 2 * time.Second
	// ownNewsMost is how long a call waits to hear from the stream of what it wrote itself, before it asks.
	ownNewsMost = time.Second
	// maxFloors bounds how many own writes are remembered one by one.
	maxFloors = 10_000
)

// mirror is what the event stream has told of our jobs, for calls of this process that would else ask Nomad the same. It is written by one watch and holds
// nothing across connections. It speaks only
//
//   - while its stream is known to lack nothing (see [Scheduler.attend]),
//   - of jobs whose registration came by the present connection, so that all of their allocations did,
//   - when it has heard of everything that this process wrote of the job,
//   - and to say that a server lives or is about to. That one is dead, blocked, lost or unknown is always asked of Nomad.
//
// Everybody else asks.
type mirror struct {
	mu     sync.Mutex
	holder *watch // whose connection this is; nil: nobody is connected
	began  uint64 // index of the list of jobs that the connection began with, or was mended with
	jobs   byJob[mirrored]
	floors map[string]uint64 // index of the last own write of a job of which the stream has not told yet
	least  uint64            // index up to which everything must have been told, since its floors were dropped
	index  uint64            // index up to which everything was told
	sign   signs
}

// mirrored is one job.
type mirrored struct {
	view    jobView
	created uint64       // index of the job's first registration
	whole   bool         // it was created after the connection began
	blocked bool         // an evaluation found no place, and no allocation came since
	allocs  []*allocView // at most one of each ID
	// evaluated is the index of the latest registration that Nomad has worked on.
	evaluated uint64
}

// begin makes the watch the one that the mirror belongs to, unless another has it, and forgets what was known before.
func (m *mirror) begin(w *watch, views []jobView, index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder != nil && m.holder != w {
		return
	}
	m.holder, m.began, m.index = w, index, index
	m.sign.last.Store(0)
	m.jobs = newByJob[mirrored](w.s.opts.JobPrefix, len(views))
	if m.floors == nil {
		m.floors = make(map[string]uint64)
	}
	for id, floor := range m.floors {
		if floor <= index {
			delete(m.floors, id) // the list had it
		}
	}
	for _, view := range views {
		m.jobs.of[view.id] = &mirrored{view: view}
	}
}

// end takes the mirror away from a watch that lost its connection.
func (m *mirror) end(w *watch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder == w {
		m.holder, m.jobs = nil, byJob[mirrored]{}
	}
}

// take takes in an event that the watch got. It comes before anybody is woken by it.
func (m *mirror) take(w *watch, event *streamEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder != w {
		return
	}
	switch p := event.Payload; {
	case p.Job != nil:
		m.takeJob(w, event)
	case p.Allocation != nil:
		_, alloc := event.alloc()
		m.takeAlloc(alloc)
	case p.Evaluation != nil:
		if job := m.jobs.get(p.Evaluation.JobID); job != nil {
			job.takeEval(p.Evaluation)
		}
	}
}

func (m *mirror) takeJob(w *watch, event *streamEvent) {
	job := event.Payload.Job
	if job.ID == nil || job.JobModifyIndex == nil || !strings.HasPrefix(*job.ID, w.s.opts.JobPrefix) {
		return
	}
	known := m.jobs.get(*job.ID)
	if event.Type == deregistered && *job.JobModifyIndex < event.Index { // purged: what Nomad shows is what it was before
		m.settle(*job.ID, event.Index)
		if known != nil {
			known.view.stopped, known.view.purged = true, true
			m.drop(*job.ID, known)
		}
		return
	}
	view := viewOfJob(job)
	if view.id == "" || *job.ID != w.s.jobID(view.id) {
		return
	}
	switch {
	case known == nil || known.view.purged:
		before := known
		known = &mirrored{view: view}
		if job.CreateIndex != nil {
			known.created, known.whole = *job.CreateIndex, *job.CreateIndex > m.began && *job.CreateIndex == view.index && before == nil
		}
		m.jobs.of[view.id] = known
	case view.index > known.view.index:
		known.view, known.blocked = view, false
	}
	m.settle(*job.ID, known.view.index)
}

// drop forgets a job that is purged when nothing of it runs.
func (m *mirror) drop(id string, job *mirrored) {
	for _, alloc := range job.allocs {
		if !isTerminal(alloc.clientStatus) {
			return
		}
	}
	m.jobs.remove(id)
}

// settle notes that everything was told that this process wrote of the job up to that index.
func (m *mirror) settle(id string, index uint64) {
	if floor, ok := m.floors[id]; ok && floor <= index {
		delete(m.floors, id)
	}
}

func (m *mirror) takeAlloc(alloc *allocView) {
	job := m.jobs.get(alloc.job)
	if job == nil || !job.whole {
		return
	}
	switch at := slices.IndexFunc(job.allocs, func(known *allocView) bool { return known.id == alloc.id }); {
	case at < 0:
		job.allocs = append(job.allocs, alloc)
	case alloc.index < job.allocs[at].index:
		return
	default:
		job.allocs[at] = alloc
	}
	job.blocked = false
	if job.view.purged {
		m.drop(alloc.job, job)
	}
}

// holdsAlloc returns what is held of an allocation since that index, or nil.
func (m *mirror) holdsAlloc(job, id string, index uint64) *allocView {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.jobs.get(job); known != nil {
		for _, alloc := range known.allocs {
			if alloc.id == id && alloc.index == index {
				return alloc
			}
		}
	}
	return nil
}

func (j *mirrored) takeEval(e *api.Evaluation) {
	if len(e.FailedTGAllocs) > 0 {
		j.blocked = true
	}
	if e.Status == api.EvalStatusComplete {
		j.evaluated = max(j.evaluated, e.JobModifyIndex)
	}
}

// reach notes that everything up to that index was taken in.
func (m *mirror) reach(w *watch, index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.holder == w {
		m.index = max(m.index, index)
	}
}

// wrote notes that this process wrote the job at that index.
func (m *mirror) wrote(id string, index uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if job := m.jobs.get(id); m.holder == nil || job != nil && job.view.index >= index {
		return // nothing is said before another connection, which begins later; or it was told already
	}
	if len(m.floors) >= maxFloors {
		for _, floor := range m.floors {
			m.least = max(m.least, floor)
		}
		clear(m.floors)
	}
	m.floors[id] = max(m.floors[id], index)
}

// speaks tells whether the mirror may be believed about that job; the caller holds mu.
func (m *mirror) speaks(id string) bool {
	last := m.sign.last.Load()
	_, unheard := m.floors[id]
	return m.holder != nil && last != 0 && time.Since(time.Unix(0, last)) < mirrorAge && m.index >= m.least && !unheard
}

// lives returns a job that has a living allocation, or is about to get its first one, and that allocation.
func (m *mirror) lives(id string) (view jobView, alloc *allocView, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	job := m.jobs.get(id)
	if job == nil || !job.whole || job.view.stopped || job.blocked || !m.speaks(id) {
		return jobView{}, nil, false
	}
	newest := job.newest()
	if newest == nil {
		return job.view, nil, true
	}
	alive := newest.clientStatus == api.AllocClientStatusPending || newest.clientStatus == api.AllocClientStatusRunning
	if !alive || newest.desiredStatus != api.AllocDesiredStatusRun || newest.created <= job.view.registered {
		return jobView{}, nil, false
	}
	return job.view, newest, true
}

func (j *mirrored) newest() *allocView {
	var newest *allocView
	for _, alloc := range j.allocs {
		if newest == nil || newest.created < alloc.created {
			newest = alloc
		}
	}
	return newest
}

// lacks reports that there is no job of that name, as far as is known.
func (m *mirror) lacks(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs.get(id) == nil && m.speaks(id)
}

// ending is what is known of the end of a job's allocations.
type ending int

const (
	endUnknown ending = iota // ask
	endUnheard               // the stream has not told yet that Nomad acted on the job's stop
	endToCome                // some still lives
	endCame                  // all have ended
)

// endOf tells whether all allocations have ended of a job that was marked as stopped at that index.
func (m *mirror) endOf(id string, index uint64) ending {
	m.mu.Lock()
	defer m.mu.Unlock()
	if floor, waits := m.floors[id]; m.holder != nil && waits && floor == index {
		return endUnheard
	}
	job := m.jobs.get(id)
	if job == nil || !job.whole || job.view.index != index || !job.view.stopped || job.view.purged || !m.speaks(id) {
		return endUnknown
	}
	// Nomad works on one change of a job after the other. When it has worked on this one, it places no more, not even what it was about to place before.
	end := endCame
	if job.evaluated < index {
		end = endUnheard
	}
	for _, alloc := range job.allocs {
		switch {
		case alloc.clientStatus == api.AllocClientStatusUnknown:
			return endUnknown // somebody may remove its machine, of which nothing is told here
		case !isTerminal(alloc.clientStatus):
			end = endToCome
		}
	}
	return end
}

// hearing is whether the stream has told of something.
type hearing int

const (
	unsaid  hearing = iota // it will not: ask
	unheard                // not yet
	heard
)

// origin returns the index of the first registration of a job that was last registered at that index, which is one of this process.
func (m *mirror) origin(id string, index uint64) (created uint64, state hearing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if floor, waits := m.floors[id]; m.holder != nil && waits && floor == index {
		return 0, unheard
	}
	job := m.jobs.get(id)
	if job == nil || job.view.purged || job.view.index != index || !m.speaks(id) {
		return 0, unsaid
	}
	return job.created, heard
}

// holds tells whether the mirror is this watch's.
func (m *mirror) holds(w *watch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holder == w
}
