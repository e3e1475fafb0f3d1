package checker

import (
	"slices"
	"strings"
)

// SawAllocations tells the history which allocations Nomad has at one instant that run or may run, by the server's ID. Two of one server are a finding.
func (h *History) SawAllocations(live map[string][]string) {
	for server, allocations := range live {
		if len(allocations) > 1 {
			slices.Sort(allocations)
			h.findOnce("server %s has %d allocations at once: %s", server, len(allocations), strings.Join(allocations, ", "))
		}
	}
}

// SawRoutes tells the history which run has a route at one instant, by the server's ID. A generation that goes back is a finding.
func (h *History) SawRoutes(routes map[string]int64) {
	for server, generation := range routes {
		h.mu.Lock()
		before := h.routed[server]
		h.routed[server] = max(before, generation)
		h.mu.Unlock()
		if generation < before {
			h.findOnce("the route of server %s goes back from generation %d to %d", server, before, generation)
		}
	}
}

// SawVisit tells the history that a request through the proxy for one server was answered by a run, which names itself.
func (l *Look) SawVisit(at Server, by Run) {
	l.h.mu.Lock()
	owner, known := l.h.nameOf(by.Server)
	l.h.mu.Unlock()
	if known && owner != at {
		l.h.findOnce("a request for the server of %s was answered by that of %s: %s", at, owner, by)
		return
	}
	l.saw(at, Visit, Seen{ID: by.Server, Generation: by.Generation, Instance: by.Allocation})
}

// SawServer tells the history what a list said of one server.
func (l *Look) SawServer(at Server, seen Seen) { l.saw(at, Read, seen) }

// Look is one question about several servers, such as a list.
type Look struct {
	h      *History
	client string
	begin  int64
}

// Look begins a question. It must come before the request is sent.
func (h *History) Look(client string) *Look {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &Look{h, client, h.tick()}
}

func (l *Look) saw(at Server, kind Kind, seen Seen) {
	h := l.h
	h.mu.Lock()
	r := &record{client: l.client, kind: kind, begin: l.begin, from: h.passed(l.begin), answer: Answer{Verdict: Unknown}}
	h.mu.Unlock()
	(&Call{h, at, r}).End(Answer{Verdict: Accepted, Seen: seen})
}
