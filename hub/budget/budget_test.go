package budget

import (
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		period          Period
		zone            *time.Location
		now, from, next string
	}{
		{Day, nil, "2026-03-04T12:00:00Z", "2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"},
		{Week, nil, "2026-03-04T12:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},
		{Week, nil, "2026-03-01T12:00:00Z", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z"},
		{Week, nil, "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},
		{Month, nil, "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{Day, berlin, "2026-03-28T23:30:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}, // summer time begins
		{Month, berlin, "2026-10-31T23:00:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"},
	} {
		from, next := c.period.Bounds(at(t, c.now), c.zone)
		if !from.Equal(at(t, c.from)) || !next.Equal(at(t, c.next)) {
			t.Errorf("the %s of %s is %v to %v", c.period, c.now, from, next)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-03-04T12:00:00Z")
	l := Limit{Period: Week, Soft: Amount{MemoryHours: 80}, Hard: Amount{MemoryHours: 100, DeviceHours: 5}}
	for _, c := range []struct {
		used     Amount
		level    Level
		sentence string
	}{
		{Amount{MemoryHours: 79.9, CPUHours: 1000, DeviceHours: 4.9}, Below, ""},
		{Amount{MemoryHours: 80}, Soft, "You have used 80 of 100 GiB-hours of memory of this week."},
		{Amount{MemoryHours: 100}, Hard, "You have used 100 of 100 GiB-hours of memory of this week."},
		{Amount{MemoryHours: 90, DeviceHours: 5.25}, Hard, "You have used 5.2 of 5 device-hours of this week."},
	} {
		s := l.Check("", c.used, now, nil)
		if s.Level != c.level || s.Sentence() != c.sentence {
			t.Errorf("%+v: level %d, %q", c.used, s.Level, s.Sentence())
		}
		if got := s.Renewal(); got != "The next week begins on Monday, 9 March 2026, 00:00 UTC." {
			t.Errorf("renewal is %q", got)
		}
	}
	if s := (Limit{Period: Day, Soft: Amount{CPUHours: 2}}).Check("course", Amount{CPUHours: 3}, now, nil); s.Sentence() != "The group course has used 3 of 2 core-hours of this day." {
		t.Errorf("%q", s.Sentence())
	}
	soft, hard := State{Level: Soft}, State{Level: Hard}
	if w, some := Worst([]State{{}, soft, hard, soft}); !some || w.Level != Hard {
		t.Errorf("the worst is %+v", w)
	}
	if _, some := Worst([]State{{}}); some {
		t.Error("nothing is bad, and something is the worst")
	}
}

func TestWhoseLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		limit Limit
		want  bool
	}{
		{"everybody's", Limit{}, true},
		{"hers", Limit{Users: []string{"ada"}}, true},
		{"her group's members'", Limit{Users: []string{"bob"}, Groups: []string{"b"}}, true},
		{"others'", Limit{Users: []string{"bob"}, Groups: []string{"x"}}, false},
		{"a group's together", Limit{PerGroup: true, Groups: []string{"b"}}, false},
	} {
		if got := c.limit.AppliesTo("ada", []string{"a", "b"}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	shared := Limit{PerGroup: true, Groups: []string{"b", "c"}}
	if got := shared.GroupsOf([]string{"a", "b"}); len(got) != 1 || got[0] != "b" {
		t.Errorf("groups are %v", got)
	}
	if got := (Limit{Groups: []string{"b"}}).GroupsOf([]string{"b"}); got != nil {
		t.Errorf("a limit for users holds for the groups %v", got)
	}
}
