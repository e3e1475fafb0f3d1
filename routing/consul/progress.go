package consul

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

// progress is how far a shard has followed its change key, the one that every writer of a binding sets in the same transaction. The key's index names the
// state of all the shard's bindings, so a replica that made a change itself, and knows that it came right after the state that it knew, has nothing
// to read. Every writer whose change follows the state that it knows says so in the key's value, and which server it is; so the others read that one
// binding and not all.
type progress struct {
	seen   uint64 // the index of the state that is known; 0: none is
	shown  notice // what the key was when it was last looked at
	full   bool   // everything has to be read
	listed uint64 // the highest index of what is known of the bindings' keys
	check  bool   // it is time to see whether they still have it
	checks int    // so far
	era    int    // counts gaps: indexes of different eras do not compare
	flying int    // changes by this process that are under way
}

// notice is the change key of a shard as it was seen.
type notice struct {
	index  uint64
	after  uint64 // the index that the change came after; 0: the value does not say
	server string // the only one whose binding changed since
}

// fullLook is how many looks at a shard's bindings are one that reads them all, though no index has moved: a binding whose key has left the hub's ring is
// found so, and signed anew.
const fullLook = 10

// patience is for how long a change may be taken for our own that is still under way.
const patience = 50 * time.Millisecond

// noticeAfter is the value of the change key for a change to one server that comes right after the state of that index.
func noticeAfter(index uint64, server string) string { return fmt.Sprintf("%d %s", index, server) }

func readNotice(index uint64, value []byte) notice {
	n := notice{index: index}
	if after, server, ok := strings.Cut(string(value), " "); ok && keyable(server) {
		if number, err := strconv.ParseUint(after, 10, 64); err == nil {
			n.after, n.server = number, server
		}
	}
	return n
}

// wake has all bindings read.
func (s *shard) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.full = true
	offer(s.poke)
}

// check has all bindings read if something changed that nobody announced. Where there are none, Consul's index is that of all its keys, and moves with each
// of them; reading nothing is as cheap as to ask for it.
func (s *shard) check() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.read:
		return // they will be
	case len(s.bindings) == 0:
		s.news.full = true
	default:
		s.news.check = true
	}
	offer(s.poke)
}

// restart has all bindings read after a gap: what was known may be of another Consul.
func (s *shard) restart(n notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap()
	s.news.shown = n
}

func (s *shard) gap() {
	s.news.seen, s.news.full = 0, true
	s.news.era++
	offer(s.poke)
}

// notice takes what the change key is now, and has read what is not known.
func (s *shard) notice(n notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.news.shown.index
	s.news.shown = n
	switch {
	case n.index == was:
	case n.index < was: // somebody removed it, or restored an older state
		s.gap()
	case n.index <= s.news.seen: // our own
	case s.news.flying > 0:
		time.AfterFunc(patience, s.catchUp)
	default:
		offer(s.poke)
	}
}

// catchUp has read what is not known.
func (s *shard) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.news.shown.index > s.news.seen {
		offer(s.poke)
	}
}

// flight is a change of ours that is under way.
type flight struct {
	after uint64 // the index of the state that it comes after; 0: none is known
	era   int
}

func (s *shard) depart() flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.news.flying++
	return flight{s.news.seen, s.news.era}
}

// arrive ends a change of ours. The index is that which it gave the change key if it came right after the state that was known, or else 0.
func (s *shard) arrive(f flight, index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.news
	p.flying--
	if index != 0 && p.era == f.era && p.seen == f.after {
		p.seen = index
	}
	if p.flying == 0 && p.shown.index > p.seen {
		offer(s.poke)
	}
}

// task is what has to be read of a shard.
type task struct {
	all    bool
	server string // the only binding to read; "": none, or all
	unless uint64 // read all unless this is the index of the keys; 0: do not look
	upTo   uint64 // the index of the state that is known after
	era    int
}

// next returns what has to be read now.
func (s *shard) next() task {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.news
	t := task{upTo: p.shown.index, era: p.era}
	switch {
	case p.full || !s.read:
		t.all = true
	case p.shown.index <= p.seen:
		if p.check {
			p.checks++
			t.unless, t.all = p.listed, p.checks%fullLook == 0
		}
	case p.shown.after == p.seen && p.seen != 0 && routing.Shard(p.shown.server) == s.number:
		t.server = p.shown.server
	default:
		t.all = true
	}
	p.full, p.check = p.full && !t.all, p.check && t.server != ""
	return t
}

// done notes that a task was.
func (s *shard) done(t task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.era == s.news.era {
		s.news.seen = max(s.news.seen, t.upTo)
	}
	if s.news.check || s.news.shown.index > s.news.seen && s.news.flying == 0 {
		offer(s.poke)
	}
}
