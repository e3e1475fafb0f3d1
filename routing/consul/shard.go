package consul

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/nomadhub/nomadhub/routing"
)

// registration is what Consul's catalog says of a notebook. Anybody who may register anything can say it.
type registration struct {
	server     string
	generation int64 // 0: not said
	allocation string
	address    string
}

func (r registration) compare(o registration) int {
	return cmp.Or(strings.Compare(r.server, o.server), cmp.Compare(r.generation, o.generation),
		strings.Compare(r.allocation, o.allocation), strings.Compare(r.address, o.address))
}

// kept is a binding, or the mark that is left of one.
type kept struct {
	routing.Binding
	index     uint64 // of the key when this lay there; 0: it is not known to lie there
	confirmed bool   // its registration was seen while it stood
}

// compact returns the binding with its texts in one piece of memory, and in no greater one that they were cut from.
func compact(b routing.Binding) routing.Binding {
	all := b.Server + b.Prefix + b.Instance + b.Address
	cut := func(text string) string {
		text, all = all[:len(text)], all[len(text):]
		return text
	}
	b.Server, b.Prefix, b.Instance, b.Address = cut(b.Server), cut(b.Prefix), cut(b.Instance), cut(b.Address)
	return b
}

// ignored is something that is not believed. It is counted when it appears.
type ignored struct {
	what   string
	reason reason
}

// shard is what is known of one of the 128 parts.
type shard struct {
	number int
	poke   chan struct{} // the bindings have to be read again; at most one token
	want   chan struct{} // a binding waits for its registration; at most one token
	hurry  chan struct{} // and somebody waits for the binding; at most one token

	mu            sync.Mutex
	registrations []registration   // as last listed, sorted
	bindings      map[string]*kept // by server; never removed by absence, never replaced by an older one
	changed       bool             // a route came or went since the version was counted
	waiting       int              // bindings that are neither confirmed nor withdrawn
	ignored       map[ignored]bool
	ignoredKeys   []ignored // of the last reading of bindings
	ignoredRegs   []ignored // of the last listing of registrations
	listed, read  bool      // each has succeeded once
	version       uint64    // of the routes; more than 0
	news          progress
}

func newShard(number int) *shard {
	return &shard{
		number: number, poke: make(chan struct{}, 1), want: make(chan struct{}, 1), hurry: make(chan struct{}, 1), version: 1,
		bindings: make(map[string]*kept),
	}
}

// offer leaves a token unless there is one already.
func offer(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default:
	}
}

// outcome is what a change of a shard led to.
type outcome struct {
	routesChanged bool      // also when the shard is complete for the first time
	newlyIgnored  []ignored // not seen before
}

// list takes a listing of registrations, sorted.
func (s *shard) list(registrations []registration, bad []ignored) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed && slices.Equal(s.registrations, registrations) && slices.Equal(s.ignoredRegs, bad) {
		return outcome{}
	}
	complete := s.listed && s.read
	s.registrations, s.ignoredRegs, s.listed = registrations, bad, true
	return s.evaluate(complete)
}

// take adopts bindings that were read, as far as they are newer than those that are known.
func (s *shard) take(l listing) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range l.bindings {
		s.adopt(b.Binding, b.index)
	}
	complete := s.listed && s.read
	s.ignoredKeys, s.read, s.news.listed = l.bad, true, l.index
	return s.evaluate(complete)
}

// put adopts one binding that lies at its key with the index; 0: it does not lie there yet.
func (s *shard) put(b routing.Binding, index uint64) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopt(b, index)
	s.news.listed = max(s.news.listed, index)
	return s.evaluate(s.listed && s.read)
}

func (s *shard) adopt(b routing.Binding, index uint64) {
	old := s.bindings[b.Server]
	switch {
	case old == nil:
	case old.Binding == b:
		if index != 0 {
			old.index = index
		}
		return
	case !b.MayReplace(old.Binding):
		return
	case old.confirmed:
		s.changed = true
	}
	b = compact(b)
	if old != nil {
		delete(s.bindings, b.Server) // its key is a part of the old one's texts
	}
	s.bindings[b.Server] = &kept{Binding: b, index: index}
}

// unconfirmed tells whether some binding waits for its registration.
func (s *shard) unconfirmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting > 0
}

// unregistered tells whether the last listing was empty.
func (s *shard) unregistered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.registrations) == 0
}

// awaits tells whether this server's binding waits for its registration.
func (s *shard) awaits(server string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bindings[server]
	return b != nil && !b.confirmed && !b.Withdrawn()
}

func (s *shard) known(server string) (routing.Binding, bool) {
	f := s.recall(server)
	return f.Binding, f.known
}

// found is what lies at the key of a server.
type found struct {
	routing.Binding
	known bool   // the hub signed what lies there
	index uint64 // of the key; 0: nothing lies there
	sure  bool   // it is what was last heard of Consul, and not only what this replica knows
}

// recall returns what is known of a server without asking.
func (s *shard) recall(server string) found {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bindings[server]
	if b == nil {
		return found{sure: s.read}
	}
	return found{Binding: b.Binding, known: true, index: b.index, sure: s.read && b.index != 0}
}

// forget drops marks that are no longer needed.
func (s *shard) forget(servers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range servers {
		if b := s.bindings[server]; b != nil && b.Withdrawn() {
			delete(s.bindings, server)
		}
	}
}

// evaluate finds the routes: a binding is one if its registration is there, or was while the same binding stood.
func (s *shard) evaluate(wasComplete bool) outcome {
	s.waiting = 0
	for _, b := range s.bindings {
		switch {
		case b.confirmed || b.Withdrawn():
		case s.registered(b.Binding):
			b.confirmed, s.changed = true, true
		default:
			s.waiting++
		}
	}
	o := outcome{routesChanged: s.changed || !wasComplete && s.listed && s.read}
	if s.changed {
		s.changed = false
		s.version++
	}
	if s.waiting > 0 {
		offer(s.want)
	}
	if s.listed && s.read { // before both are known, nothing can be called unsigned
		o.newlyIgnored = s.countIgnored()
	}
	return o
}

func (s *shard) registered(b routing.Binding) bool {
	r := registration{server: b.Server, generation: b.Generation, allocation: b.Instance, address: routing.NormalAddress(b.Address)}
	if _, found := slices.BinarySearchFunc(s.registrations, r, registration.compare); found {
		return true
	}
	r.generation = 0
	_, found := slices.BinarySearchFunc(s.registrations, r, registration.compare)
	return found
}

// countIgnored returns what was not ignored before.
func (s *shard) countIgnored() (news []ignored) {
	var now map[ignored]bool
	note := func(i ignored) {
		if now == nil {
			now = make(map[ignored]bool)
		}
		if !s.ignored[i] && !now[i] {
			news = append(news, i)
		}
		now[i] = true
	}
	for _, i := range s.ignoredKeys {
		note(i)
	}
	for _, i := range s.ignoredRegs {
		note(i)
	}
	for i := range s.registrations {
		r := &s.registrations[i]
		b := s.bindings[r.server]
		if why := r.doubt(b); why != "" {
			note(ignored{r.server + " " + r.allocation + " " + r.address, why})
		} else if r.address == b.Address {
			r.server, r.allocation, r.address = b.Server, b.Instance, b.Address // one copy of these texts is enough
		}
	}
	s.ignored = now
	return news
}

// doubt tells why a registration is not believed, or "". The binding is the server's; nil: there is none.
func (r registration) doubt(b *kept) reason {
	switch {
	case b == nil, r.generation > b.Generation:
		return unsigned
	case b.Withdrawn(), r.allocation != b.Instance, r.generation != 0 && r.generation < b.Generation:
		return stale
	case r.address != routing.NormalAddress(b.Address):
		return copied
	}
	return ""
}

// snapshot returns the routes if their version is not this one, and their version.
func (s *shard) snapshot(told uint64) (routes []routing.Route, version uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version != told {
		routes = make([]routing.Route, 0, len(s.bindings))
		for _, b := range s.bindings {
			if b.confirmed {
				routes = append(routes, b.Route())
			}
		}
	}
	return routes, s.version
}

func (s *shard) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listed && s.read
}
