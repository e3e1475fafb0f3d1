package hub

import (
	"container/heap"
	"strings"
	"time"
)

// The queue of starts
//
// A start that the hub's limits hold back is a row that is Starting and not admitted. Whoever may go on is let through, in an order that is fair among
// groups: each server that is active in a group puts the group's next start back by turnWeight. So of two groups that ask at the same moment, the one
// with less goes first, until both have as much; within a group it goes by time. Nobody starves: who asks later than turnWeight times the servers that
// your group has more comes after you.
//
//	                          ┌─ a limit of the hub, or of one's group: waits here, at no cost
//	StartServer ─► waiting ───┤
//	                          └─ its node pool is full, and maxBlocked wait in the cluster already: waits here
//	        admitted ─► register ─► no room in the cluster: waits there (blocked), until somebody else stops ─► place ─► …

const (
	// turnWeight is by how much each active server of a group puts back the next start of the group.
	turnWeight = 15 * time.Second
	// maxBlocked is how many starts for one node pool may wait in the cluster at once. The cluster takes whichever fits first, so more would undo the fair order.
	maxBlocked = 4
	// maxBackfill is how long the first may have waited in the cluster while smaller ones that fit are let past it.
	maxBackfill = 10 * time.Minute
)

// waiting is a start that waits, as the order is made from.
type waiting struct {
	id     string
	groups []string // of its owner, sorted
	queued time.Time
	pool   string
	fits   bool // the cluster says that there is room for it, whoever waits
}

// lane is what is known of a node pool.
type lane struct {
	blocked  int       // starts that the cluster has no room for
	unplaced int       // starts that were let through and have no place yet, the blocked ones included
	first    time.Time // since when the longest waiting of the blocked ones is queued
}

// full tells whether no further start for the pool is to be handed to the cluster.
func (l lane) full() bool { return l.blocked > 0 && l.unplaced >= maxBlocked }

// queueState is all that the order is made from.
type queueState struct {
	waiting []waiting // by the time since when they are queued
	total   Load
	groups  map[string]Load // "" are those who are in no group
	lanes   map[string]lane // by node pool; nil: the scheduler cannot say what fits, and no pool is ever full
	blocked []QueuedStart   // those that wait in the cluster, by the time since when they are queued
}

// turn is what the queue decides about one start that waits.
type turn struct {
	id       string
	admit    bool
	position int // among those who go on waiting, from 1
	hold     hold
	queued   time.Time
	pool     string
}

// planQueue decides who is let through now, and in which order the others wait. It is pure; the state is used up.
func planQueue(q queueState, l Limits) []turn {
	admitted := make(map[string]bool)
	holds := make(map[string]hold)
	whole := hold{}
	for next := range newLine(q.waiting, q.groups).all() {
		h := l.holds(next.groups, q.total, q.groups)
		if h.barrier == noBarrier {
			h = q.lane(*next)
		}
		if h.wholeHub() {
			whole = h
			break // the same holds for all who come after
		}
		if h.barrier != noBarrier {
			holds[next.id] = h
			continue
		}
		admitted[next.id] = true
		q.count(*next)
	}
	turns := make([]turn, 0, len(q.waiting))
	rest := make([]waiting, 0, len(q.waiting)-len(admitted))
	for _, w := range q.waiting {
		if admitted[w.id] {
			turns = append(turns, turn{id: w.id, admit: true, queued: w.queued, pool: w.pool})
		} else {
			rest = append(rest, w)
		}
	}
	return append(turns, queueUp(rest, q.groups, holds, whole)...)
}

// lane holds a start back whose node pool is full.
func (q *queueState) lane(w waiting) hold {
	if l := q.lanes[w.pool]; l.full() && !w.fits {
		return hold{barrierPool, w.pool}
	}
	return hold{}
}

// count notes that a start was let through.
func (q *queueState) count(w waiting) {
	q.total.Starting++
	q.total.Active++
	for _, name := range shareGroups(w.groups) {
		g := q.groups[name]
		q.groups[name] = Load{g.Starting + 1, g.Active + 1}
	}
	if q.lanes != nil {
		l := q.lanes[w.pool]
		l.unplaced++
		q.lanes[w.pool] = l
	}
}

// queueUp gives everybody who waits a position: the order in which they would be let through if one place after another became free.
func queueUp(rest []waiting, groups map[string]Load, holds map[string]hold, whole hold) []turn {
	turns := make([]turn, 0, len(rest))
	line := newLine(rest, groups)
	for next := range line.all() {
		h, ok := holds[next.id]
		if !ok {
			h = whole
		}
		turns = append(turns, turn{id: next.id, position: len(turns) + 1, hold: h, queued: next.queued, pool: next.pool})
		for _, name := range shareGroups(next.groups) {
			g := groups[name]
			g.Active++
			groups[name] = g
		}
	}
	return turns
}

// shareGroups are the groups whose share a start is part of; those who are in no group are one together.
func shareGroups(groups []string) []string {
	if len(groups) == 0 {
		return []string{""}
	}
	return groups
}

// line hands out starts in fair order, while what groups have may grow. People with the same groups stand in one file; the heap holds the
// files by when the first in each is due.
type line struct {
	files  []*file
	groups map[string]Load
}

// file is the people with the same groups, by time.
type file struct {
	groups []string
	rest   []*waiting
	due    time.Time // of the first, when it was last computed; what groups have only grows, so it is never too late
}

func newLine(all []waiting, groups map[string]Load) *line {
	l := &line{groups: groups}
	files := make(map[string]*file)
	for i := range all {
		w := &all[i]
		key := strings.Join(w.groups, "\x00")
		f := files[key]
		if f == nil {
			f = &file{groups: shareGroups(w.groups)}
			files[key] = f
			l.files = append(l.files, f)
		}
		f.rest = append(f.rest, w)
	}
	for _, f := range l.files {
		f.due = l.due(f)
	}
	heap.Init(l)
	return l
}

// due is when the first of the file has its turn: the share that counts is that of the group which has least.
func (l *line) due(f *file) time.Time {
	least := l.groups[f.groups[0]].Active
	for _, name := range f.groups[1:] {
		least = min(least, l.groups[name].Active)
	}
	return f.rest[0].queued.Add(time.Duration(least) * turnWeight)
}

// all yields everybody in order. What groups have may be raised by the loop's body.
func (l *line) all() func(yield func(*waiting) bool) {
	return func(yield func(*waiting) bool) {
		for len(l.files) > 0 {
			f := l.files[0]
			if due := l.due(f); due.After(f.due) { // its groups got something meanwhile
				f.due = due
				heap.Fix(l, 0)
				continue
			}
			next := f.rest[0]
			if f.rest = f.rest[1:]; len(f.rest) == 0 {
				heap.Pop(l)
			} else {
				f.due = l.due(f)
				heap.Fix(l, 0)
			}
			if !yield(next) {
				return
			}
		}
	}
}

// Len implements [heap.Interface], as do the four methods below.
func (l *line) Len() int { return len(l.files) }

func (l *line) Less(i, j int) bool {
	a, b := l.files[i], l.files[j]
	if !a.due.Equal(b.due) {
		return a.due.Before(b.due)
	}
	if !a.rest[0].queued.Equal(b.rest[0].queued) {
		return a.rest[0].queued.Before(b.rest[0].queued)
	}
	return a.rest[0].id < b.rest[0].id
}

func (l *line) Swap(i, j int) { l.files[i], l.files[j] = l.files[j], l.files[i] }

// Push is never used: no file joins the line later.
func (l *line) Push(f any) { l.files = append(l.files, f.(*file)) }

// Pop takes the last.
func (l *line) Pop() any {
	last := l.files[len(l.files)-1]
	l.files = l.files[:len(l.files)-1]
	return last
}
