package cull

import (
	"fmt"
	"time"
)

// Kind is why a server would be stopped.
type Kind string

// The kinds.
const (
	Idle Kind = "idle"
	Age  Kind = "age"
)

// Evidence is what is known of a server.
type Evidence struct {
	Started      time.Time
	LastActivity time.Time // what JupyterHub calls activity
	LastUsed     time.Time
	LastOutput   time.Time
	// KeepUntil is until when the owner wants it to go on.
	KeepUntil time.Time
	// WatchedSince is since when what all proxies saw is known without a gap; zero: it is not.
	WatchedSince time.Time
	// Warned is the warning that stands; its Kind is "" if there is none.
	Warned Warned
	// Answer is what the server itself said just now; nil: it was not asked.
	Answer *Answer
}

// Warned is a warning that the owner can see.
type Warned struct {
	Kind         Kind
	Since, Until time.Time
}

// Outcome is how a server answered.
type Outcome string

// The outcomes.
const (
	Answered  Outcome = "answered"
	Silent    Outcome = "silent"  // it gave no answer, which is evidence of nothing
	Unable    Outcome = "unable"  // it has no kernels to tell about: it is no Jupyter server, or it may not be asked
	TooLittle Outcome = "unclear" // what it said cannot be read
)

// Answer is what a server told of itself, and what the cluster told of it.
type Answer struct {
	Time      time.Time
	Outcome   Outcome
	Kernels   []Kernel
	Terminals []time.Time // when each last printed or read something
	CPU       *float64    // cores; nil: not known
	Devices   *float64    // the busiest one, in percent; nil: not known
}

// Kernel is one kernel.
type Kernel struct {
	Busy         bool
	LastActivity time.Time
	Connections  int
}

// Action is what to do with a server.
type Action int

// The actions, from the mildest on.
const (
	Keep Action = iota // leave it; take back a warning
	Hold               // leave it, and the warning that stands
	Ask                // ask the server itself, and decide again
	Warn               // tell the owner that it is stopped at Until
	Stop
)

// Verdict is what is decided.
type Verdict struct {
	Action   Action
	Kind     Kind
	Until    time.Time // of Warn and Hold: when it is stopped
	Reason   string    // of Warn and Stop: a sentence for the owner
	Evidence []string  // of Warn and Stop: sentences
}

// Decide says what to do with a server. It is pure.
func Decide(r Rules, s Subject, e Evidence, now time.Time) Verdict {
	limits := r.apply(s, now)
	if limits.exempt {
		return Verdict{}
	}
	c := decision{Rules: r, limits: limits, e: e, now: now}
	return first(e.Warned.Kind, c.age(), c.idle())
}

// first chooses between two verdicts. One warning stands at a time: the one that came first, until it is over.
func first(warned Kind, age, idle Verdict) Verdict {
	switch {
	case age.Action == Stop:
		return age
	case idle.Action == Stop:
		return idle
	case warned == Age && age.Action == Hold:
		return age
	case warned == Idle && idle.Action != Keep:
		return idle
	case age.Action == Warn && (idle.Action != Warn || age.Until.Before(idle.Until)):
		return age
	}
	return idle
}

// decision is one decision under way.
type decision struct {
	Rules
	limits applied
	e      Evidence
	now    time.Time
}

func (c decision) age() Verdict {
	limit := c.limits.MaxAge
	if limit <= 0 || c.e.Started.IsZero() {
		return Verdict{}
	}
	due := c.e.Started.Add(limit)
	if c.now.Before(due.Add(-c.Warning)) {
		return Verdict{}
	}
	v := c.warn(Age, due)
	v.Reason = fmt.Sprintf("The server is stopped because no server may run for longer than %s.", span(limit))
	v.Evidence = append(v.Evidence,
		fmt.Sprintf("It was started at %s, %s ago.", clock(c.e.Started), span(c.now.Sub(c.e.Started))),
		fmt.Sprintf("By %s a server may run for %s, however much it is used.", c.limits.ageFrom, span(limit)))
	return c.warned(v)
}

// warn begins a verdict: the warning that stands goes on, or a new one begins now.
func (c decision) warn(kind Kind, due time.Time) Verdict {
	v := Verdict{Action: Warn, Kind: kind, Until: due}
	if earliest := c.now.Add(c.Warning); due.Before(earliest) {
		v.Until = earliest
	}
	if c.e.Warned.Kind == kind {
		v.Action, v.Until = Hold, c.e.Warned.Until
		if !c.now.Before(v.Until) {
			v.Action = Stop
		}
	}
	return v
}

// warned adds that the owner was told.
func (c decision) warned(v Verdict) Verdict {
	if v.Action == Stop {
		v.Evidence = append(v.Evidence, fmt.Sprintf("A warning was shown from %s on.", clock(c.e.Warned.Since)))
	}
	return v
}

func (c decision) idle() Verdict {
	limit, used := c.limits.IdleAfter, c.used()
	switch {
	case limit <= 0, c.e.KeepUntil.After(c.now):
		return Verdict{}
	case c.now.Sub(used) < c.warnAfter(limit):
		return Verdict{}
	case c.e.WatchedSince.IsZero(), c.now.Sub(c.e.WatchedSince) < c.Observe:
		return c.hold() // somebody may have used it, unseen
	case c.e.Warned.Kind == Idle && c.now.Before(c.e.Warned.Until) && c.e.Answer == nil:
		return c.hold()
	case c.e.Answer == nil:
		return Verdict{Action: Ask, Kind: Idle}
	}
	return c.judge(limit, used)
}

// hold leaves a warning of idleness as it stands. One that is over without a stop is taken back: its time would be wrong.
func (c decision) hold() Verdict {
	if c.e.Warned.Kind != Idle || !c.now.Before(c.e.Warned.Until) {
		return Verdict{}
	}
	return Verdict{Action: Hold, Kind: Idle, Until: c.e.Warned.Until}
}

// judge decides with what the server itself said.
func (c decision) judge(limit time.Duration, used time.Time) Verdict {
	a := *c.e.Answer
	counts := c.limits.Counts
	busy := 0
	var lastKernel, lastTerminal time.Time
	for _, k := range a.Kernels {
		if k.Busy {
			busy++
		}
		lastKernel = later(lastKernel, k.LastActivity)
	}
	for _, t := range a.Terminals {
		lastTerminal = later(lastTerminal, t)
	}
	switch a.Outcome {
	case Silent, TooLittle:
		return c.hold()
	case Unable: // all that is left to go by
		used = later(used, c.e.LastActivity)
	case Answered:
		used = later(later(used, lastKernel), lastTerminal)
	}
	switch {
	case used.After(c.now), c.now.Sub(used) < c.warnAfter(limit):
		return Verdict{}
	case counts.BusyKernels && busy > 0,
		counts.CPU > 0 && a.CPU != nil && *a.CPU >= counts.CPU,
		counts.Devices > 0 && a.Devices != nil && *a.Devices >= counts.Devices,
		counts.OpenPages && connected(a.Kernels):
		return Verdict{}
	}
	v := c.warn(Idle, used.Add(limit))
	v.Reason = fmt.Sprintf("The server is stopped because nothing shows that it is used, for %s by now.", span(c.now.Sub(used)))
	v.Evidence = append(c.seen(used), c.told(a, busy, lastKernel, lastTerminal)...)
	v.Evidence = append(v.Evidence, fmt.Sprintf("By %s, a server that is not used is stopped after %s.", c.limits.idleFrom, span(limit)))
	return c.warned(v)
}

func connected(kernels []Kernel) bool {
	for _, k := range kernels {
		if k.Connections > 0 {
			return true
		}
	}
	return false
}

// used is the last use that is known without asking. Its start was one.
func (c decision) used() time.Time {
	used := later(c.e.Started, c.e.LastUsed)
	if c.limits.Counts.OpenPages {
		used = later(used, c.e.LastActivity)
	}
	if c.limits.Counts.Output {
		used = later(used, c.e.LastOutput)
	}
	return used
}

// seen says what the proxies saw.
func (c decision) seen(used time.Time) []string {
	out := []string{fmt.Sprintf("It was last used at %s, %s ago.", clock(used), span(c.now.Sub(used)))}
	if c.e.LastUsed.IsZero() {
		out = append(out, "Nobody has used it since it was started.")
	} else {
		out = append(out, fmt.Sprintf("Somebody did something in one of its pages at %s for the last time.", clock(c.e.LastUsed)))
	}
	if c.e.LastActivity.After(used) {
		out = append(out, fmt.Sprintf("A page of it was open at %s, which by itself is no use.", clock(c.e.LastActivity)))
	}
	return out
}

// told says what the server and the cluster said.
func (c decision) told(a Answer, busy int, lastKernel, lastTerminal time.Time) []string {
	var out []string
	switch {
	case a.Outcome == Unable:
		out = append(out, "It could not be asked about kernels, so all activity was taken for use.")
	case len(a.Kernels) == 0:
		out = append(out, fmt.Sprintf("Asked at %s, it had no kernels.", clock(a.Time)))
	case busy > 0:
		out = append(out, fmt.Sprintf("Asked at %s, it had %s at work, which by the rules is no use.", clock(a.Time), count(busy, "kernel")))
	default:
		out = append(out, fmt.Sprintf("Asked at %s, it had %s, none at work; the last activity was at %s.", clock(a.Time), count(len(a.Kernels), "kernel"), clock(lastKernel)))
	}
	if len(a.Terminals) > 0 {
		out = append(out, fmt.Sprintf("It had %s, last active at %s.", count(len(a.Terminals), "terminal"), clock(lastTerminal)))
	}
	if a.CPU != nil {
		out = append(out, fmt.Sprintf("It used %.2f cores at that time.", *a.CPU))
	}
	if a.Devices != nil {
		out = append(out, fmt.Sprintf("Its devices were used by %.0f percent at most.", *a.Devices))
	}
	return out
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "no time that is known"
	}
	return t.UTC().Format("15:04:05 MST on 2 January 2006")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span writes a length of time in the two units that matter.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	if h := int(d.Hours()) % 24; h != 0 {
		return fmt.Sprintf("%d days %d h", int(d.Hours())/24, h)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
