package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub/cull"
)

// The culler stops servers by evidence. The elected replica looks at all of them again and again; those that may be past a rule are asked themselves,
// and what was found is decided by package cull. A stop is written in the transaction that looks once more whether anything happened meanwhile,
// and carried out like any other.
//
//	rows past a first test ─► Decide ─► Ask: the server's kernels and terminals, its use of processor and devices ─► Decide ─► Warn, Stop
//	     (one query)                                                                                                   (row unchanged?)

const (
	maxAsking    = 16               // servers that are asked at the same time
	askAgainMost = 5 * time.Minute  // until a server that was at work is asked again
	askAtLeast   = 10 * time.Second // what a pass has for asking, however short its interval
)

// culler remembers when which server is worth being asked again. It belongs to the goroutine of [Hub.leadCulling]; none of it is needed.
type culler struct {
	mu    sync.Mutex
	again map[string]time.Time
}

// SetCulling puts rules in force, and takes them out of force with nil. They hold at once.
func (h *Hub) SetCulling(rules *cull.Rules) {
	h.culling.Store(rules)
	select {
	case h.cullNow <- struct{}{}:
	default:
	}
}

// Culling returns the rules in force; nil: none.
func (h *Hub) Culling() *cull.Rules { return h.culling.Load() }

// leadCulling looks at all servers while this replica is elected.
func (h *Hub) leadCulling(ctx context.Context) error {
	c := &culler{again: map[string]time.Time{}}
	for {
		wait := time.Minute
		if rules := h.culling.Load(); rules != nil {
			wait = rules.Interval
			begun := time.Now()
			if err := h.cullPass(ctx, c, *rules); err != nil && ctx.Err() == nil {
				h.log.WarnContext(ctx, "pass over idle servers failed, will be repeated", "err", err)
			}
			h.culls.passed(time.Since(begun))
		}
		wait += rand.N(wait/10 + 1) //nolint:gosec // keeps replicas and clusters out of step; not a secret
		if !sleep(ctx, wait, h.cullNow) {
			return ctx.Err()
		}
	}
}

// cullPass looks at every running server once.
func (h *Hub) cullPass(ctx context.Context, c *culler, rules cull.Rules) error {
	h.writeActivity(ctx) // what this replica saw a moment ago
	now := h.now()
	since, err := h.watchedSince(ctx, now)
	if err != nil {
		return err
	}
	q := CullQuery{Now: now, Lead: rules.Warning}
	q.UsedBefore, q.StartedBefore = rules.Bounds(now)
	candidates, err := h.store.CullCandidates(ctx, q)
	if err != nil {
		return err
	}
	var ask []suspect
	for _, s := range candidates {
		suspect := newSuspect(s, since)
		v := cull.Decide(rules, suspect.subject, suspect.evidence, now)
		if v.Action == cull.Ask {
			ask = append(ask, suspect)
			continue
		}
		h.settle(ctx, suspect, v, rules)
	}
	h.askAll(ctx, c, rules, ask)
	return nil
}

// askAll asks the servers about which nothing else is left to go by. Those for which the pass has no time come in the next one: their order is random.
func (h *Hub) askAll(ctx context.Context, c *culler, rules cull.Rules, ask []suspect) {
	ctx, cancel := context.WithTimeout(ctx, max(rules.Interval, askAtLeast))
	defer cancel()
	ask = c.due(ask, h.now())
	rand.Shuffle(len(ask), func(i, j int) { ask[i], ask[j] = ask[j], ask[i] })
	var asking sync.WaitGroup
	free := make(chan struct{}, maxAsking)
	for _, s := range ask {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		asking.Go(func() {
			defer func() { <-free }()
			h.askOne(ctx, c, rules, s)
		})
	}
	asking.Wait()
}

// askOne asks one server and decides with its answer. An answer that was cut short says nothing.
func (h *Hub) askOne(ctx context.Context, c *culler, rules cull.Rules, s suspect) {
	answer := h.askServer(ctx, s.server)
	if ctx.Err() != nil {
		return
	}
	s.evidence.Answer = &answer
	now := h.now()
	v := cull.Decide(rules, s.subject, s.evidence, now)
	c.later(s, now, v, rules)
	h.settle(ctx, s, v, rules)
}

// due keeps those who are worth asking now, and forgets those who are no longer there.
func (c *culler) due(ask []suspect, now time.Time) []suspect {
	kept := make(map[string]time.Time, len(ask))
	due := ask[:0]
	for _, s := range ask {
		if at, known := c.again[s.server.ID]; known {
			kept[s.server.ID] = at
			if at.After(now) && s.evidence.Warned.Kind == "" {
				continue
			}
		}
		due = append(due, s)
	}
	c.again = kept
	return due
}

// later notes when to ask a server again that turned out to be at work.
func (c *culler) later(s suspect, now time.Time, v cull.Verdict, rules cull.Rules) {
	if v.Action > cull.Hold {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.again[s.server.ID] = now.Add(min(askAgainMost, 5*rules.Interval))
}

// suspect is a server that is being looked at.
type suspect struct {
	server   Server
	subject  cull.Subject
	evidence cull.Evidence
}

func newSuspect(c CullCandidate, since time.Time) suspect {
	s := suspect{
		subject: cull.Subject{
			User: c.UserName, Admin: c.Admin, Groups: c.Groups, Profile: c.Profile, IdleAfter: c.IdleAfter, MaxAge: c.MaxAge,
		},
		evidence: cull.Evidence{WatchedSince: since},
	}
	return s.with(c.Server)
}

// with is the suspect as a newer reading of its row has it.
func (s suspect) with(now Server) suspect {
	s.server = now
	e := &s.evidence
	e.Started, e.LastActivity, e.LastUsed, e.LastOutput, e.KeepUntil = now.Started, now.LastActivity, now.LastUsed, now.LastOutput, now.KeepUntil
	e.Warned = cull.Warned{}
	if n := now.Notice; n != nil && (n.Kind == NoticeIdle || n.Kind == NoticeAge) {
		e.Warned = cull.Warned{Kind: cull.Kind(n.Kind), Since: n.Time, Until: n.Until}
	}
	return s
}
