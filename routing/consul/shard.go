package consul

import (
	"maps"
	"slices"
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

// kept is a binding, or the mark that is left of one, in the form in which the hub signed it.
type kept struct {
	routing.Binding
	sealed string
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

	mu            sync.Mutex
	registrations map[registration]bool // as last listed
	bindings      map[string]kept       // by server; never removed by absence, never replaced by an older one
	confirmed     map[string]routing.Binding
	waiting       int // bindings that are neither confirmed nor withdrawn
	ignored       map[ignored]bool
	ignoredKeys   []ignored // of the last reading of bindings
	ignoredRegs   []ignored // of the last listing of registrations
	listed, read  bool      // each has succeeded once
	routes        []routing.Route
	version       uint64 // of the routes; more than 0
}

func newShard(number int) *shard {
	return &shard{
		number: number, poke: make(chan struct{}, 1), want: make(chan struct{}, 1), version: 1,
		bindings: make(map[string]kept), confirmed: make(map[string]routing.Binding), ignored: make(map[ignored]bool),
	}
}

func (s *shard) wake() { offer(s.poke) }

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

// list takes a listing of registrations. It tells whether the listing differs from the last one.
func (s *shard) list(registrations map[registration]bool, bad []ignored) (changed bool, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed && maps.Equal(s.registrations, registrations) && slices.Equal(s.ignoredRegs, bad) {
		return false, outcome{}
	}
	complete := s.listed && s.read
	s.registrations, s.ignoredRegs, s.listed = registrations, bad, true
	return true, s.evaluate(complete)
}

// take adopts bindings that were read, as far as they are newer than those that are known.
func (s *shard) take(l listing) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range l.bindings {
		s.adopt(b.kept)
	}
	complete := s.listed && s.read
	s.ignoredKeys, s.read = l.bad, true
	return s.evaluate(complete)
}

// put adopts one binding that this process has written.
func (s *shard) put(b kept) outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adopt(b)
	return s.evaluate(s.listed && s.read)
}

func (s *shard) adopt(b kept) {
	if old, known := s.bindings[b.Server]; !known || b.MayReplace(old.Binding) {
		s.bindings[b.Server] = b
	}
}

// unconfirmed tells whether some binding waits for its registration.
func (s *shard) unconfirmed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting > 0
}

func (s *shard) known(server string) (routing.Binding, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.bindings[server]
	return b.Binding, ok
}

// forget drops marks that are no longer needed.
func (s *shard) forget(servers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, server := range servers {
		if s.bindings[server].Withdrawn() {
			delete(s.bindings, server)
		}
	}
}

// evaluate makes the routes: a binding is one if its registration is there, or was while the same binding stood.
func (s *shard) evaluate(wasComplete bool) outcome {
	confirmed := make(map[string]routing.Binding, len(s.confirmed))
	routes := make([]routing.Route, 0, len(s.confirmed))
	s.waiting = 0
	for server, b := range s.bindings {
		if b.Withdrawn() {
			continue
		}
		if !s.registered(b.Binding) && s.confirmed[server] != b.Binding {
			s.waiting++
			continue
		}
		confirmed[server] = b.Binding
		routes = append(routes, b.Route())
	}
	o := outcome{routesChanged: !wasComplete && s.listed && s.read}
	if !maps.Equal(confirmed, s.confirmed) {
		o.routesChanged = true
		s.confirmed, s.routes = confirmed, routes
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
	if s.registrations[r] {
		return true
	}
	r.generation = 0
	return s.registrations[r]
}

// countIgnored returns what was not ignored before.
func (s *shard) countIgnored() []ignored {
	now := make(map[ignored]bool)
	for _, i := range slices.Concat(s.ignoredKeys, s.ignoredRegs) {
		now[i] = true
	}
	for r := range s.registrations {
		if why := s.doubt(r); why != "" {
			now[ignored{r.server + " " + r.allocation + " " + r.address, why}] = true
		}
	}
	var news []ignored
	for i := range now {
		if !s.ignored[i] {
			news = append(news, i)
		}
	}
	s.ignored = now
	return news
}

// doubt tells why a registration is not believed, or "".
func (s *shard) doubt(r registration) reason {
	b, known := s.bindings[r.server]
	switch {
	case !known, r.generation > b.Generation:
		return unsigned
	case b.Withdrawn(), r.allocation != b.Instance, r.generation != 0 && r.generation < b.Generation:
		return stale
	case r.address != routing.NormalAddress(b.Address):
		return copied
	}
	return ""
}

// snapshot returns the routes with their version, and whether they are complete.
func (s *shard) snapshot() (routes []routing.Route, version uint64, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes, s.version, s.listed && s.read
}
