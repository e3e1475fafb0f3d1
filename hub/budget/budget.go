// Package budget holds limits of use against what was used: so many hours of memory, processor and devices in a day, a week or a month, for a user or
// for a group together. It is pure; adding up and acting is the hub's.
package budget

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Amount is what was used, or may be: resources times hours.
type Amount struct {
	MemoryHours float64 // GiB
	CPUHours    float64 // cores
	DeviceHours float64
}

// Rules are what an operator wants. The zero value keeps a ledger and limits nothing.
type Rules struct {
	Limits []Limit
	// Grace is how long servers go on after a hard limit is reached.
	Grace time.Duration
	// Zone is whose days, weeks and months are meant; nil: UTC.
	Zone *time.Location
	// ExemptAdmins leaves administrators alone.
	ExemptAdmins bool
	// Interval is how often the ledger is compared with what runs, and limits are looked at.
	Interval time.Duration
	// Retention is for how long runs that have ended are kept.
	Retention time.Duration
	// CoreMHz is how much processor that is reserved in MHz counts as one core.
	CoreMHz float64
}

// Period is a calendar's period.
type Period string

// The periods.
const (
	Day   Period = "day"
	Week  Period = "week" // begins on Monday
	Month Period = "month"
)

// Bounds tell when the period that now lies in began, and when the next one begins.
func (p Period) Bounds(now time.Time, zone *time.Location) (from, to time.Time) {
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	midnight := func(m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, zone) }
	switch p {
	case Week:
		monday := d - (int(now.In(zone).Weekday())+6)%7
		return midnight(m, monday), midnight(m, monday+7)
	case Month:
		return midnight(m, 1), midnight(m+1, 1)
	case Day:
	}
	return midnight(m, d), midnight(m, d+1)
}

// Limit holds for each of some users, or for each of some groups together.
type Limit struct {
	Name     string
	PerGroup bool     // all members of a group share it; else each user has it alone
	Users    []string // of a limit for users: these, …
	Groups   []string // … and members of these groups; neither: everybody. Of a limit for groups: these groups
	Period   Period
	Soft     Amount // from here on owners are told; zero: not
	Hard     Amount // from here on nothing starts, and what runs is stopped; zero: not
}

// AppliesTo tells whether a limit for users holds for one.
func (l Limit) AppliesTo(user string, groups []string) bool {
	if l.PerGroup {
		return false
	}
	return l.Users == nil && l.Groups == nil || slices.Contains(l.Users, user) ||
		slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(l.Groups, g) })
}

// GroupsOf are the groups of a user whose common limit this is.
func (l Limit) GroupsOf(groups []string) []string {
	if !l.PerGroup {
		return nil
	}
	var of []string
	for _, g := range groups {
		if slices.Contains(l.Groups, g) {
			of = append(of, g)
		}
	}
	return of
}

// Level says how near a limit is.
type Level int

// The levels.
const (
	Below Level = iota
	Soft
	Hard
)

// State is one limit with what was used of it.
type State struct {
	Limit Limit
	Group string // whose it is; "": the user's own
	Used  Amount
	From  time.Time
	Next  time.Time // when a new period begins
	Level Level
	// Resource is what the level is about: "memory", "cpu" or "device"; "" below all limits.
	Resource string
}

// resource is one of the three as numbers.
type resource struct {
	name, unit       string
	used, soft, hard float64
}

func (l Limit) resources(used Amount) [3]resource {
	return [...]resource{
		{"memory", "GiB-hours of memory", used.MemoryHours, l.Soft.MemoryHours, l.Hard.MemoryHours},
		{"cpu", "core-hours", used.CPUHours, l.Soft.CPUHours, l.Hard.CPUHours},
		{"device", "device-hours", used.DeviceHours, l.Soft.DeviceHours, l.Hard.DeviceHours},
	}
}

// Check says where a limit stands. The period is the one that now lies in.
func (l Limit) Check(group string, used Amount, now time.Time, zone *time.Location) State {
	s := State{Limit: l, Group: group, Used: used}
	s.From, s.Next = l.Period.Bounds(now, zone)
	for _, r := range l.resources(used) {
		level := Below
		switch {
		case r.hard > 0 && r.used >= r.hard:
			level = Hard
		case r.soft > 0 && r.used >= r.soft:
			level = Soft
		}
		if level > s.Level {
			s.Level, s.Resource = level, r.name
		}
	}
	return s
}

// Sentence says for a person how much is used of what.
func (s State) Sentence() string {
	who := "You have"
	if s.Group != "" {
		who = "The group " + s.Group + " has"
	}
	for _, r := range s.Limit.resources(s.Used) {
		if r.name != s.Resource {
			continue
		}
		most := r.hard
		if most == 0 {
			most = r.soft
		}
		return fmt.Sprintf("%s used %s of %s %s of this %s.", who, number(r.used), number(most), r.unit, s.Limit.Period)
	}
	return ""
}

// Renewal says when a new period begins.
func (s State) Renewal() string {
	return "The next " + string(s.Limit.Period) + " begins on " + s.Next.Format("Monday, 2 January 2006, 15:04 MST") + "."
}

// Worst is the state that matters most; false if none is above its limits.
func Worst(states []State) (State, bool) {
	var worst State
	for _, s := range states {
		if s.Level > worst.Level {
			worst = s
		}
	}
	return worst, worst.Level > Below
}

// number writes a number with one digit after the point, if there is any need.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'f', 1, 64)
	if n := len(text) - 2; text[n:] == ".0" {
		return text[:n]
	}
	return text
}
