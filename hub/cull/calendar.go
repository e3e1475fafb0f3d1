package cull

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Calendar is a part of the week, by the wall clock of a place. The zero value is always.
type Calendar struct {
	Days []time.Weekday // on which Hours begin; nil: every day
	// From and To are minutes since midnight; if To is not after From, the hours end on the next day. Both 0: all day.
	From, To int
	Zone     *time.Location // nil: UTC
}

// Holds tells whether the time lies in the calendar's part of the week.
func (c Calendar) Holds(now time.Time) bool {
	zone := c.Zone
	if zone == nil {
		zone = time.UTC
	}
	local := now.In(zone)
	today, minute := local.Weekday(), local.Hour()*60+local.Minute()
	yesterday := (today + 6) % 7
	switch {
	case c.From == 0 && c.To == 0:
		return c.day(today)
	case c.From < c.To:
		return c.day(today) && minute >= c.From && minute < c.To
	}
	return c.day(today) && minute >= c.From || c.day(yesterday) && minute < c.To
}

func (c Calendar) day(d time.Weekday) bool { return c.Days == nil || slices.Contains(c.Days, d) }

// ParseDays reads days such as "mon", "Saturday".
func ParseDays(names []string) ([]time.Weekday, error) {
	var days []time.Weekday
	for _, name := range names {
		short := strings.ToLower(name)
		i := slices.IndexFunc(week, func(d time.Weekday) bool {
			full := strings.ToLower(d.String())
			return short == full || short == full[:3]
		})
		if i < 0 {
			return nil, fmt.Errorf("%q is no day of the week; write mon, tue, wed, thu, fri, sat or sun", name)
		}
		days = append(days, week[i])
	}
	return days, nil
}

// week is every day there is. Nothing changes it.
var week = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

// ParseHours reads hours such as "22:00-06:00"; "" is all day.
func ParseHours(text string) (from, to int, err error) {
	if text == "" {
		return 0, 0, nil
	}
	first, second, ok := strings.Cut(text, "-")
	if ok {
		if from, err = minutes(first); err == nil {
			to, err = minutes(second)
		}
	}
	if !ok || err != nil || from == 24*60 || from == to {
		return 0, 0, fmt.Errorf("%q are no hours; write them as 22:00-06:00", text)
	}
	return from, to, nil
}

func minutes(text string) (int, error) {
	if text = strings.TrimSpace(text); text == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}
