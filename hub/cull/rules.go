// Package cull decides which servers are stopped because nobody uses them, or because they are too old. It is pure: [Decide] goes from rules,
// evidence and a time to a verdict with sentences that say why. Collecting evidence and acting is the hub's.
//
// What counts as use, and what does not, is decision 16 of docs/explanation/decisions.
package cull

import (
	"cmp"
	"slices"
	"time"
)

// Never, in a limit, says that it does not hold whatever comes after it says.
const Never time.Duration = -1

// Rules are what an operator wants. The zero value of a duration in it means that there is no such limit.
type Rules struct {
	Limits
	// Warning is how long before a stop the owner is told, at least.
	Warning time.Duration
	// KeepFor is how long "keep it running" holds off a stop for idleness.
	KeepFor time.Duration
	// Interval is how often all servers are looked at.
	Interval time.Duration
	// Observe is for how long activity must have been watched without a gap before anything counts as idle: servers report at this interval.
	Observe time.Duration
	// ExemptAdmins leaves the servers of administrators alone, and ExemptUsers those of these users.
	ExemptAdmins bool
	ExemptUsers  []string
	// Special are looked at in order; of each limit, the first one that matches and sets it holds, before the profile's and before Limits.
	Special []Special
}

// Limits say when a server is stopped, and what counts as use.
type Limits struct {
	IdleAfter time.Duration
	MaxAge    time.Duration
	Counts    Counts
}

// Counts say what counts as use beside what somebody does.
type Counts struct {
	OpenPages   bool    // a page that is open and asks by itself, and all else that JupyterHub calls activity
	BusyKernels bool    // a kernel that runs something
	Output      bool    // messages that the server sends on websockets
	CPU         float64 // at least so many cores; 0: it is not looked at
	Devices     float64 // a device that is used by at least so many percent; 0: it is not looked at
}

// Special holds for some servers, at some times. What it leaves nil or zero, it leaves to what comes after it.
type Special struct {
	Name     string
	Users    []string // of any of these users, …
	Groups   []string // … members of any of these groups …
	Profiles []string // … and started with any of these profiles; nil: any
	Calendar Calendar

	IdleAfter, MaxAge time.Duration // Never: not at all; 0: not said
	OpenPages         *bool
	BusyKernels       *bool
	Output            *bool
	CPU, Devices      *float64
}

// Subject is a server as the rules see it.
type Subject struct {
	User              string
	Admin             bool
	Groups            []string
	Profile           string
	IdleAfter, MaxAge time.Duration // what the profile says; Never: not at all; 0: nothing
}

// applied are the limits that hold for a subject at a time, each with where it comes from.
type applied struct {
	Limits
	idleFrom, ageFrom string
	exempt            bool
}

func (r Rules) apply(s Subject, now time.Time) applied {
	a := applied{exempt: r.ExemptAdmins && s.Admin || slices.Contains(r.ExemptUsers, s.User)}
	a.Counts = r.Counts
	counts := countsSet{}
	for _, rule := range r.Special {
		if !rule.matches(s, now) {
			continue
		}
		a.take(rule.IdleAfter, rule.MaxAge, "the rule "+rule.Name)
		counts.take(&a.Counts, rule)
	}
	a.take(s.IdleAfter, s.MaxAge, "the profile "+s.Profile)
	a.take(r.IdleAfter, r.MaxAge, "the hub's general rule")
	return a
}

// take takes over what has not been said yet.
func (a *applied) take(idle, age time.Duration, from string) {
	if a.IdleAfter == 0 && idle != 0 {
		a.IdleAfter, a.idleFrom = idle, from
	}
	if a.MaxAge == 0 && age != 0 {
		a.MaxAge, a.ageFrom = age, from
	}
}

// countsSet remembers what has been said already.
type countsSet struct{ pages, kernels, output, cpu, devices bool }

func (set *countsSet) take(c *Counts, rule Special) {
	say(&set.pages, &c.OpenPages, rule.OpenPages)
	say(&set.kernels, &c.BusyKernels, rule.BusyKernels)
	say(&set.output, &c.Output, rule.Output)
	say(&set.cpu, &c.CPU, rule.CPU)
	say(&set.devices, &c.Devices, rule.Devices)
}

// say sets what has not been said yet.
func say[T any](set *bool, into, said *T) {
	if !*set && said != nil {
		*into, *set = *said, true
	}
}

func (r Special) matches(s Subject, now time.Time) bool {
	return (r.Users == nil || slices.Contains(r.Users, s.User)) &&
		(r.Groups == nil || slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(r.Groups, g) })) &&
		(r.Profiles == nil || slices.Contains(r.Profiles, s.Profile)) && r.Calendar.Holds(now)
}

// Bounds tell which servers need not be looked at: those used after the first time and started after the second. A zero time means that no rule
// of the hub's own says anything about it; profiles may.
func (r Rules) Bounds(now time.Time) (usedBefore, startedBefore time.Time) {
	idle, age := shortest(r.IdleAfter), shortest(r.MaxAge)
	for _, rule := range r.Special {
		idle, age = earlier(idle, shortest(rule.IdleAfter)), earlier(age, shortest(rule.MaxAge))
	}
	if idle > 0 {
		usedBefore = now.Add(-r.warnAfter(idle))
	}
	if age > 0 {
		startedBefore = now.Add(r.Warning - age)
	}
	return usedBefore, startedBefore
}

func shortest(d time.Duration) time.Duration { return max(d, 0) }

func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return cmp.Or(a, b)
	}
	return min(a, b)
}

// warnAfter is how long a server is idle when its owner is warned: so that the stop comes when the limit says, but not before half of it has passed.
func (r Rules) warnAfter(idle time.Duration) time.Duration { return max(idle-r.Warning, idle/2) }
