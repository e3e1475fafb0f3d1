package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	auditBound   = 20_000                // entries that wait at most, while the database is away
	auditBatch   = 500                   // entries of one statement
	auditPause   = 50 * time.Millisecond // how long entries are gathered
	auditRetry   = time.Second           // until the next attempt, when the database did not take them
	auditTimeout = 10 * time.Second      // of one statement
	auditLast    = 5 * time.Second       // for what is left when the hub ends

	maxAuditText   = 512  // bytes of one field
	maxAuditDetail = 4096 // bytes of the details together
)

// auditor takes entries of the audit log from those who must not wait, and writes them in the background.
//
//	Audit ─► bounded? ─► queue ─► gathered for a moment ─► one statement ─┬─► written
//	          └► refusals only: counted     ▲                             └─► the database is away: kept, and tried again
//
// An entry is written at least once: one whose statement was cut off may be there twice.
type auditor struct {
	store   AuditStore
	log     *slog.Logger
	metrics auditMetrics
	wake    chan struct{} // there may be something to write; capacity 1

	mu    sync.Mutex
	queue []AuditEntry
	lost  int // since it was last said
	flood auditFlood
}

type auditMetrics struct {
	entries *prometheus.CounterVec
	waiting prometheus.Gauge
}

func newAuditMetrics(r prometheus.Registerer) auditMetrics {
	m := auditMetrics{
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nomadhub_audit_entries_total", Help: "Entries of the audit log by what became of them: written, lost, held_back.",
		}, []string{"outcome"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nomadhub_audit_waiting_entries", Help: "Entries of the audit log that are not written yet.",
		}),
	}
	for _, outcome := range []string{auditWritten, auditLost, auditHeldBack} {
		m.entries.WithLabelValues(outcome)
	}
	if r != nil {
		r.MustRegister(m.entries, m.waiting)
	}
	return m
}

// What becomes of entries.
const (
	auditWritten  = "written"
	auditLost     = "lost"
	auditHeldBack = "held_back"
)

func newAuditor(s AuditStore, log *slog.Logger, r prometheus.Registerer) *auditor {
	return &auditor{store: s, log: log, metrics: newAuditMetrics(r), wake: make(chan struct{}, 1)}
}

// Audit has an entry added to the audit log. It never waits: entries are kept while the database is away, up to a bound, and what is lost is counted. Refusals
// are held back when there are very many of one kind, so that nobody can fill the log by knocking.
func (h *Hub) Audit(e AuditEntry) {
	if e.At.IsZero() {
		e.At = h.now()
	}
	h.auditor.add(e)
}

// SetAuditKeep says for how long entries of the audit log are kept from now on; 0: for ever.
func (h *Hub) SetAuditKeep(d time.Duration) { h.auditKeep.Store(int64(d)) }

// forgetAudit removes entries whose time is over.
func (h *Hub) forgetAudit(ctx context.Context, now time.Time) error {
	keep := time.Duration(h.auditKeep.Load())
	if keep <= 0 {
		return nil
	}
	n, err := h.store.DeleteAuditBefore(ctx, now.Add(-keep))
	if n > 0 {
		h.log.InfoContext(ctx, "old entries of the audit log removed", "entries", n)
		h.auditForgotten(n, now.Add(-keep))
	}
	return err
}

// auditing begins to write entries of the audit log. The function that it returns ends that, when nothing that could add one runs any more.
func (h *Hub) auditing(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	writing.Go(func() { h.auditor.run(ctx) })
	return func() {
		cancel()
		writing.Wait()
	}
}

// auditStop notes that the hub stopped a server of its own accord.
func (h *Hub) auditStop(s Server, kind NoticeKind, why Failure) {
	action, actor := "server.cull", "culler"
	if kind == NoticeUsage {
		action, actor = "server.limit", "usage"
	}
	detail, err := json.Marshal(map[string]any{"kind": kind, "reason": why.Message, "generation": s.Generation})
	if err != nil {
		detail = nil // all of it can be written as JSON
	}
	h.Audit(AuditEntry{
		Kind: ActorHub, Actor: actor, Action: action, Target: AuditServer(s.UserName, s.Name), Owner: s.UserName, OwnerID: s.UserID,
		Result: AuditDone, Detail: detail,
	})
}

// AuditServer names a server in the audit log: "server/alice", or "server/alice/lab".
func AuditServer(user, server string) string {
	return strings.TrimSuffix("server/"+user+"/"+server, "/")
}

// AuditLog reads the audit log.
func (h *Hub) AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	return h.store.Audit(ctx, q)
}

// auditPage is how many entries are read at once where all are wanted.
const auditPage = 1000

// AllAudit yields the entries of a query one after the other, however many there are.
func (h *Hub) AllAudit(ctx context.Context, q AuditQuery) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for q.Limit = auditPage; ; {
			entries, err := h.store.Audit(ctx, q)
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
				q.Before = e.ID
			}
			if len(entries) < auditPage {
				return
			}
		}
	}
}

func (a *auditor) add(e AuditEntry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := 0
	if e.Result != AuditDone {
		var ok bool
		if held, ok = a.flood.allow(e); !ok {
			a.metrics.entries.WithLabelValues(auditHeldBack).Inc()
			return
		}
	}
	// The last half is for what was done: refusals that nobody could write cannot push it out.
	if n := len(a.queue); n >= auditBound || n >= auditBound/2 && e.Result != AuditDone {
		a.loseLocked(1)
		return
	}
	a.queue = append(a.queue, tidied(e, held))
	a.metrics.waiting.Set(float64(len(a.queue)))
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *auditor) loseLocked(n int) {
	a.lost += n
	a.metrics.entries.WithLabelValues(auditLost).Add(float64(n))
}

// run writes until ctx ends, and then what is left.
func (a *auditor) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-a.wake:
			sleep(ctx, auditPause, nil)
			for !a.write(ctx, auditTimeout) {
				sleep(ctx, auditRetry, nil)
				if ctx.Err() != nil {
					break
				}
			}
		}
	}
	a.write(ctx, auditLast)
	a.mu.Lock()
	left := len(a.queue)
	a.loseLocked(left)
	a.mu.Unlock()
	a.tellLost(ctx)
}

// write writes all that waits, and tells whether it could.
func (a *auditor) write(ctx context.Context, timeout time.Duration) bool {
	for {
		a.mu.Lock()
		batch := a.queue[:min(len(a.queue), auditBatch)]
		a.mu.Unlock()
		if len(batch) == 0 {
			a.tellLost(ctx)
			return true
		}
		// Not ended with ctx: a statement that is cut off leaves nobody knowing whether it was carried out.
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		err := a.store.AddAudit(wctx, batch)
		cancel()
		switch {
		case err == nil:
			a.metrics.entries.WithLabelValues(auditWritten).Add(float64(len(batch)))
		case errors.Is(err, context.DeadlineExceeded), KindOf(err) == Unavailable, KindOf(err) == Internal:
			a.log.WarnContext(ctx, "audit log not written, entries are kept", "waiting", len(batch), "err", err)
			return false
		default:
			a.singly(ctx, batch, timeout)
		}
		a.mu.Lock()
		a.queue = a.queue[len(batch):]
		if len(a.queue) == 0 {
			a.queue = nil
		}
		a.metrics.waiting.Set(float64(len(a.queue)))
		a.mu.Unlock()
	}
}

// singly writes entries of which one cannot be written at all, so that only that one is lost.
func (a *auditor) singly(ctx context.Context, batch []AuditEntry, timeout time.Duration) {
	for _, e := range batch {
		wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		err := a.store.AddAudit(wctx, []AuditEntry{e})
		cancel()
		if err == nil {
			a.metrics.entries.WithLabelValues(auditWritten).Inc()
			continue
		}
		a.log.ErrorContext(ctx, "entry of the audit log refused", "action", e.Action, "target", e.Target, "actor", e.Actor, "err", err)
		a.mu.Lock()
		a.loseLocked(1)
		a.mu.Unlock()
	}
}

func (a *auditor) tellLost(ctx context.Context) {
	a.mu.Lock()
	lost := a.lost
	a.lost = 0
	a.mu.Unlock()
	if lost > 0 {
		a.log.ErrorContext(ctx, "entries of the audit log were lost", "entries", lost)
	}
}

// tidied is an entry that every database takes, of bounded size, with the number of those that were held back before it.
func tidied(e AuditEntry, held int) AuditEntry {
	for _, text := range []*string{&e.Kind, &e.Actor, &e.Address, &e.Action, &e.Target, &e.Owner, &e.OwnerID} {
		*text = tidyText(*text)
	}
	if held == 0 && len(e.Detail) <= maxAuditDetail && bytes.HasPrefix(e.Detail, []byte(`{"`)) && json.Valid(e.Detail) { // nearly always
		return e
	}
	detail := map[string]json.RawMessage{}
	if len(e.Detail) > maxAuditDetail || len(e.Detail) > 0 && json.Unmarshal(e.Detail, &detail) != nil {
		detail = map[string]json.RawMessage{"cut": json.RawMessage("true")}
	}
	if held > 0 {
		number, _ := json.Marshal(held) // a number can always be written
		detail = maps.Clone(detail)
		detail["held_back"] = number
	}
	e.Detail = nil
	if len(detail) > 0 {
		e.Detail, _ = json.Marshal(detail) // it was read as JSON
	}
	return e
}

// tidyText drops what a database or a terminal would stumble over.
func tidyText(s string) string {
	clean := func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}
	s = strings.Map(clean, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > maxAuditText {
		s = strings.ToValidUTF8(s[:maxAuditText], "") + "…"
	}
	return s
}

// auditFlood bounds how many refusals are written down: of each actor, or of each address of those who are not known, and of all who are not known together.
type auditFlood struct {
	begun   time.Time
	windows map[string]*floodWindow
}

type floodWindow struct{ seen, held int }

const (
	floodPeriod    = time.Minute
	floodEach      = 30
	floodAnonymous = 600
	floodKeys      = 10_000
)

// allow tells whether a refusal is written down, and how many of its kind were not since the last one that was.
func (f *auditFlood) allow(e AuditEntry) (held int, ok bool) {
	if f.windows == nil || e.At.Sub(f.begun) >= floodPeriod || e.At.Before(f.begun) {
		f.turn(e.At)
	}
	key := e.Kind + "/" + e.Actor
	if e.Actor == "" {
		key = "@" + e.Address
		if w := f.window("anonymous"); w.seen >= floodAnonymous {
			w.held++
			return 0, false
		}
	}
	w := f.window(key)
	if w.seen >= floodEach {
		w.held++
		return 0, false
	}
	if e.Actor == "" {
		f.window("anonymous").seen++
	}
	w.seen++
	held, w.held = w.held, 0
	return held, true
}

// window is that of a key; when there are very many keys, all further ones share one.
func (f *auditFlood) window(key string) *floodWindow {
	w := f.windows[key]
	if w == nil && len(f.windows) >= floodKeys {
		key = "others"
		w = f.windows[key]
	}
	if w == nil {
		w = &floodWindow{}
		f.windows[key] = w
	}
	return w
}

// turn begins a new period, and remembers what was held back and not told yet.
func (f *auditFlood) turn(now time.Time) {
	next := map[string]*floodWindow{}
	for key, w := range f.windows {
		if w.held > 0 && w.seen > 0 && key != "anonymous" {
			next[key] = &floodWindow{held: w.held}
		}
	}
	f.begun, f.windows = now, next
}
