package checker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// defaultLimit is how many calls a history keeps unless told otherwise.
const defaultLimit = 20_000

// Options are what a history is judged by.
type Options struct {
	Model Model
	// Limit bounds the number of calls that are kept; 0: 20,000. A history that had more fails its test, as the rest was not looked at.
	Limit int
}

// History records calls and their answers. Its methods may be called at the same time.
type History struct {
	opts  Options
	since int64 // when it began, on the clock

	mu       sync.Mutex
	clock    int64 // of the last begin or answer; see monotonic
	records  map[Server][]*record
	kept     int
	tooMany  int
	findings []string
	routed   map[string]int64 // the latest generation that had a route, by the server's ID
}

// record is one call.
type record struct {
	client     string
	kind       Kind
	answer     Answer
	begin, end int64         // on the clock; end 0: no answer yet
	from, to   time.Duration // since the history began, for people
}

// tick is the time, which no begin or answer has before it or at it.
func (h *History) tick() int64 {
	h.clock = max(h.clock+1, monotonic())
	return h.clock
}

func (h *History) passed(at int64) time.Duration { return time.Duration(at - h.since) }

// New begins a history, of servers that have no record yet.
func New(o Options) *History {
	if o.Limit == 0 {
		o.Limit = defaultLimit
	}
	return &History{opts: o, since: monotonic(), records: map[Server][]*record{}, routed: map[string]int64{}}
}

// Call is a call whose answer is still to come.
type Call struct {
	h      *History
	server Server
	line   *record
}

// Begin records that a client begins to ask. It must come before the request is sent.
func (h *History) Begin(client string, at Server, kind Kind) *Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	begin := h.tick()
	return &Call{h, at, h.keep(at, &record{client: client, kind: kind, begin: begin, from: h.passed(begin), answer: Answer{Verdict: Unknown}})}
}

// keep adds a call that may matter even without an answer.
func (h *History) keep(at Server, r *record) *record {
	if !r.kind.changes() && r.end == 0 {
		return r // it is added with its answer, if there is one
	}
	if h.kept >= h.opts.Limit {
		h.tooMany++
		return r
	}
	h.kept++
	h.records[at] = append(h.records[at], r)
	return r
}

// Lost records that no answer came, or none that tells whether the call was followed.
func (c *Call) Lost(why string) { c.End(Answer{Verdict: Unknown, Says: why}) }

// End records the answer. It must come after the answer did.
func (c *Call) End(a Answer) {
	h, r := c.h, c.line
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.end != 0 {
		h.findings = append(h.findings, fmt.Sprintf("the test recorded two answers of one call: %s of %s", r.kind, c.server))
		return
	}
	now := h.tick()
	r.answer, r.to = a, h.passed(now)
	if a.Verdict == Unknown {
		return
	}
	r.end = now
	if !r.kind.changes() {
		h.keep(c.server, r)
		h.thin(c.server, r)
	}
}

// thin forgets the second last of three answers in a row that tell the same: of a poll that sees no change the first and the last are kept. What is forgotten could only have
// confirmed.
func (h *History) thin(at Server, last *record) {
	list := h.records[at]
	if n := len(list); n == 0 || list[n-1] != last { // it was one too many
		return
	}
	if last.answer.Seen.Generation == 0 { // what was and is absent may have been there between
		return
	}
	same := 0
	for i := len(list) - 2; i >= 0; i-- {
		if r := list[i]; r.client == last.client && r.kind == last.kind {
			if r.end == 0 || r.answer.Verdict != last.answer.Verdict || !r.answer.Seen.equal(last.answer.Seen) {
				return
			}
			if same++; same == 2 { // list[i] is the first; the one between goes
				between := slices.IndexFunc(list[i+1:], func(r *record) bool { return r.client == last.client && r.kind == last.kind })
				h.records[at] = slices.Delete(list, i+1+between, i+2+between)
				h.kept--
				return
			}
		}
	}
}

// Find records something wrong that was seen with the naked eye, such as an answer to another user's request.
func (h *History) Find(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.find(format, args...)
}

func (h *History) find(format string, args ...any) {
	if len(h.findings) < maxFindings {
		h.findings = append(h.findings, fmt.Sprintf("%.3fs: ", h.passed(monotonic()).Seconds())+fmt.Sprintf(format, args...))
	}
}

// findOnce is Find for what a poll sees again and again.
func (h *History) findOnce(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(h.findings, func(f string) bool { return strings.HasSuffix(f, text) }) {
		h.find("%s", text)
	}
}

// maxFindings bounds what is kept of what is wrong: the first of it is what matters.
const maxFindings = 50

// Generations are the runs of a server that some answer has seen in the phase, by the server's ID.
func (h *History) Generations(in Phase) map[string][]int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string][]int64{}
	for _, list := range h.records {
		for _, r := range list {
			seen := r.answer.Seen
			if seen.Phase == in && seen.ID != "" && r.answer.Verdict != Unknown && !slices.Contains(all[seen.ID], seen.Generation) {
				all[seen.ID] = append(all[seen.ID], seen.Generation)
			}
		}
	}
	return all
}

func (r *record) String() string {
	to := "        "
	if r.end != 0 {
		to = fmt.Sprintf("%7.3fs", r.to.Seconds())
	}
	return fmt.Sprintf("%7.3fs … %s  %-12s %-8s %s", r.from.Seconds(), to, r.client, r.kind, r.answer)
}

// Servers are those of a user that somebody has asked about, and the default one.
func (h *History) Servers(user string) []Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := []Server{{User: user}}
	for at := range h.records {
		if at.User == user && at.Name != "" {
			all = append(all, at)
		}
	}
	return all
}
