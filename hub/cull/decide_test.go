package cull

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) // a Wednesday

func rules() Rules {
	return Rules{
		Limits:  Limits{IdleAfter: time.Hour, Counts: Counts{BusyKernels: true, CPU: 0.5, Devices: 10}},
		Warning: 10 * time.Minute, Observe: 5 * time.Minute,
	}
}

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// idle is evidence of a server that nobody has used for two hours, and whose owner was told.
func idle() Evidence {
	return Evidence{
		Started: ago(5 * time.Hour), LastUsed: ago(2 * time.Hour), LastActivity: ago(time.Second), WatchedSince: ago(5 * time.Minute),
		Warned: Warned{Idle, ago(10 * time.Minute), noon},
		Answer: &Answer{Time: noon, Outcome: Answered, Kernels: []Kernel{{LastActivity: ago(2 * time.Hour), Connections: 1}}},
	}
}

func TestDecideByEvidence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Rules, *Subject, *Evidence)
		want   Action
	}{
		{"idle, warned, and asked", func(*Rules, *Subject, *Evidence) {}, Stop},
		{"idle and warned, but not asked", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer = nil }, Ask},
		{"idle and not warned", func(_ *Rules, _ *Subject, e *Evidence) { e.Warned = Warned{} }, Warn},
		{"warned, and there is time", func(_ *Rules, _ *Subject, e *Evidence) { e.Warned.Until = noon.Add(1); e.Answer = nil }, Hold},
		{"warned, there is time, asked all the same", func(_ *Rules, _ *Subject, e *Evidence) { e.Warned.Until = noon.Add(1) }, Hold},
		{"warned of something else", func(_ *Rules, _ *Subject, e *Evidence) { e.Warned.Kind = Age }, Warn},
		{"used just now", func(_ *Rules, _ *Subject, e *Evidence) { e.LastUsed = ago(time.Second) }, Keep},
		{"used before the warning is due", func(_ *Rules, _ *Subject, e *Evidence) { e.LastUsed = ago(50*time.Minute - 1) }, Keep},
		{"used when the warning is due", func(_ *Rules, _ *Subject, e *Evidence) {
			e.LastUsed, e.Warned, e.Answer = ago(50*time.Minute), Warned{}, nil
		}, Ask},
		{"started just now and never used", func(_ *Rules, _ *Subject, e *Evidence) { e.Started, e.LastUsed = ago(time.Minute), time.Time{} }, Keep},
		{"never used since its start", func(_ *Rules, _ *Subject, e *Evidence) { e.LastUsed = time.Time{} }, Stop},
		{"the owner keeps it", func(_ *Rules, _ *Subject, e *Evidence) { e.KeepUntil = noon.Add(1) }, Keep},
		{"the owner kept it until now", func(_ *Rules, _ *Subject, e *Evidence) { e.KeepUntil = noon }, Stop},
		{"a kernel is busy", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Kernels[0].Busy = true }, Keep},
		{"a kernel is busy, which does not count", func(r *Rules, _ *Subject, e *Evidence) {
			e.Answer.Kernels[0].Busy, r.Counts.BusyKernels = true, false
		}, Stop},
		{"a kernel did something", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Kernels[0].LastActivity = ago(time.Minute) }, Keep},
		{"a kernel whose clock is ahead", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Kernels[0].LastActivity = noon.Add(time.Hour) }, Keep},
		{"a terminal printed", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Terminals = []time.Time{ago(time.Minute)} }, Keep},
		{"a terminal that printed long ago", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Terminals = []time.Time{ago(3 * time.Hour)} }, Stop},
		{"the processor is at work", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.CPU = new(0.5) }, Keep},
		{"the processor does next to nothing", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.CPU = new(0.49) }, Stop},
		{"the processor does not count", func(r *Rules, _ *Subject, e *Evidence) { e.Answer.CPU, r.Counts.CPU = new(8.0), 0 }, Stop},
		{"a GPU is at work", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Devices = new(11.0) }, Keep},
		{"a GPU idles", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer.Devices = new(3.0) }, Stop},
		{"an open page is no use", func(_ *Rules, _ *Subject, e *Evidence) { e.LastActivity = noon }, Stop},
		{"an open page counts", func(r *Rules, _ *Subject, _ *Evidence) { r.Counts.OpenPages = true }, Keep},
		{"an open page that asks nothing counts", func(r *Rules, _ *Subject, e *Evidence) { r.Counts.OpenPages, e.LastActivity = true, ago(2*time.Hour) }, Keep},
		{"no page is open, and one would count", func(r *Rules, _ *Subject, e *Evidence) {
			r.Counts.OpenPages, e.LastActivity, e.Answer.Kernels[0].Connections = true, ago(2*time.Hour), 0
		}, Stop},
		{"output does not count", func(_ *Rules, _ *Subject, e *Evidence) { e.LastOutput = noon }, Stop},
		{"output counts", func(r *Rules, _ *Subject, e *Evidence) { e.LastOutput, r.Counts.Output = noon, true }, Keep},
		{"no answer is no evidence", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer = &Answer{Outcome: Silent} }, Keep},
		{"no answer leaves a warning in its time", func(_ *Rules, _ *Subject, e *Evidence) {
			e.Answer, e.Warned.Until = &Answer{Outcome: Silent}, noon.Add(1)
		}, Hold},
		{"nonsense is no evidence", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer = &Answer{Outcome: TooLittle} }, Keep},
		{"what is no Jupyter server goes by all activity", func(_ *Rules, _ *Subject, e *Evidence) { e.Answer = &Answer{Outcome: Unable} }, Keep},
		{"what is no Jupyter server and did nothing", func(_ *Rules, _ *Subject, e *Evidence) {
			e.Answer, e.LastActivity = &Answer{Outcome: Unable}, ago(2*time.Hour)
		}, Stop},
		{"F49 activity was not watched", func(_ *Rules, _ *Subject, e *Evidence) { e.WatchedSince = time.Time{} }, Keep},
		{"F49 not for a whole interval", func(_ *Rules, _ *Subject, e *Evidence) { e.WatchedSince = ago(5*time.Minute - 1) }, Keep},
		{"an exempt administrator", func(r *Rules, s *Subject, _ *Evidence) { r.ExemptAdmins, s.Admin = true, true }, Keep},
		{"an administrator who is not exempt", func(_ *Rules, s *Subject, _ *Evidence) { s.Admin = true }, Stop},
		{"an exempt user", func(r *Rules, s *Subject, _ *Evidence) { r.ExemptUsers, s.User = []string{"ada"}, "ada" }, Keep},
		{"no limit", func(r *Rules, _ *Subject, _ *Evidence) { r.IdleAfter = 0 }, Keep},
		{"the profile says never", func(_ *Rules, s *Subject, _ *Evidence) { s.IdleAfter = Never }, Keep},
		{"the profile says later", func(_ *Rules, s *Subject, _ *Evidence) { s.IdleAfter = 3 * time.Hour }, Keep},
		{"a rule wins over the profile", func(r *Rules, s *Subject, _ *Evidence) {
			s.IdleAfter, r.Special = Never, []Special{{Name: "x", IdleAfter: time.Hour}}
		}, Stop},
		{"the first rule wins", func(r *Rules, _ *Subject, _ *Evidence) {
			r.Special = []Special{{Name: "x", IdleAfter: Never}, {Name: "y", IdleAfter: time.Minute}}
		}, Keep},
		{"a rule for others", func(r *Rules, s *Subject, _ *Evidence) {
			s.Groups, r.Special = []string{"b"}, []Special{{Name: "x", Groups: []string{"a"}, IdleAfter: Never}, {Name: "y", Users: []string{"bob"}, IdleAfter: Never}}
		}, Stop},
		{"a rule at another time", func(r *Rules, _ *Subject, _ *Evidence) {
			r.Special = []Special{{Name: "x", Calendar: Calendar{Days: []time.Weekday{time.Thursday}}, IdleAfter: Never}}
		}, Stop},
		{"a rule about what counts", func(r *Rules, _ *Subject, e *Evidence) {
			e.Answer.Kernels[0].Busy, r.Special = true, []Special{{Name: "x", BusyKernels: new(false)}, {Name: "y", BusyKernels: new(true)}}
		}, Stop},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, s, e := rules(), Subject{User: "ada", Profile: "small"}, idle()
			c.change(&r, &s, &e)
			got := Decide(r, s, e, noon)
			if got.Action != c.want {
				t.Fatalf("decided %+v, want action %d", got, c.want)
			}
			if told := got.Reason != "" && len(got.Evidence) > 1; told != (c.want >= Warn) && c.want != Hold {
				t.Errorf("says %q with %q", got.Reason, got.Evidence)
			}
		})
	}
}

func TestTheStopComesWhenTheLimitSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ idle, used, want time.Duration }{
		{time.Hour, 50 * time.Minute, 10 * time.Minute},
		{time.Hour, 55 * time.Minute, 10 * time.Minute}, // noticed late
		{time.Hour, 5 * time.Hour, 10 * time.Minute},
		{10 * time.Minute, 5 * time.Minute, 10 * time.Minute}, // the warning is longer than half of the limit
		{12 * time.Minute, 6 * time.Minute, 10 * time.Minute},
	} {
		r, e := rules(), idle()
		r.IdleAfter, e.Warned, e.LastUsed = c.idle, Warned{}, ago(c.used)
		if got := Decide(r, Subject{}, e, noon); got.Action != Warn || !got.Until.Equal(noon.Add(c.want)) {
			t.Errorf("idle for %s of %s: %+v", c.used, c.idle, got)
		}
		e.LastUsed = ago(r.warnAfter(c.idle) - 1)
		if got := Decide(r, Subject{}, e, noon); got.Action != Keep {
			t.Errorf("too early for %s: %+v", c.idle, got)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	r := rules()
	r.IdleAfter, r.MaxAge = 0, 8*time.Hour
	for _, c := range []struct {
		name   string
		age    time.Duration
		warned Warned
		want   Action
		until  time.Time
	}{
		{"young", 7*time.Hour + 49*time.Minute, Warned{}, Keep, time.Time{}},
		{"to be warned", 7*time.Hour + 50*time.Minute, Warned{}, Warn, noon.Add(10 * time.Minute)},
		{"found late", 20 * time.Hour, Warned{}, Warn, noon.Add(10 * time.Minute)},
		{"warned", 8 * time.Hour, Warned{Age, ago(time.Minute), noon.Add(time.Minute)}, Hold, noon.Add(time.Minute)},
		{"over", 8 * time.Hour, Warned{Age, ago(10 * time.Minute), noon}, Stop, noon},
	} {
		// However much it is used, and whether anybody watched.
		got := Decide(r, Subject{}, Evidence{Started: ago(c.age), LastUsed: noon, KeepUntil: noon.Add(time.Hour), Warned: c.warned}, noon)
		if got.Action != c.want || !got.Until.Equal(c.until) || c.want != Keep && got.Kind != Age {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestOneWarningAtATime(t *testing.T) {
	t.Parallel()
	r := rules()
	r.MaxAge = 5*time.Hour + 5*time.Minute
	e := idle() // started five hours ago
	e.Warned = Warned{Idle, ago(time.Minute), noon.Add(9 * time.Minute)}
	if got := Decide(r, Subject{}, e, noon); got.Kind != Idle || got.Action != Hold {
		t.Errorf("warned of idleness: %+v", got)
	}
	e.Warned = Warned{Age, ago(time.Minute), noon.Add(9 * time.Minute)}
	if got := Decide(r, Subject{}, e, noon); got.Kind != Age || got.Action != Hold {
		t.Errorf("warned of age: %+v", got)
	}
	e.Warned, e.LastUsed = Warned{}, ago(54*time.Minute)
	if got := Decide(r, Subject{}, e, noon); got.Kind != Idle || got.Action != Warn {
		t.Errorf("both due, idleness not later: %+v", got)
	}
	e.Answer = nil
	if got := Decide(r, Subject{}, e, noon); got.Kind != Age || got.Action != Warn {
		t.Errorf("both due, and the server was not asked: %+v", got)
	}
}

func TestEvidenceIsTold(t *testing.T) {
	t.Parallel()
	e := idle()
	e.Answer.CPU, e.Answer.Terminals = new(0.02), []time.Time{ago(3 * time.Hour)}
	r := rules()
	r.Special = []Special{{Name: "weekdays", IdleAfter: 30 * time.Minute}}
	got := Decide(r, Subject{User: "ada"}, e, noon)
	all := got.Reason + "\n" + strings.Join(got.Evidence, "\n")
	for _, part := range []string{
		"for 2 h by now", "10:00:00 UTC on 4 March 2026", "A page of it was open at 11:59:59", "1 kernel, none at work", "1 terminal, last", "0.02 cores",
		"the rule weekdays", "after 30 min", "A warning was shown from 11:50:00",
	} {
		if !strings.Contains(all, part) {
			t.Errorf("%q is not in\n%s", part, all)
		}
	}
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Calendar{Days: []time.Weekday{time.Friday}, From: 22 * 60, To: 6 * 60, Zone: berlin}
	weekend := Calendar{Days: []time.Weekday{time.Saturday, time.Sunday}}
	for _, c := range []struct {
		name     string
		calendar Calendar
		at       string
		want     bool
	}{
		{"always", Calendar{}, "2026-03-04T12:00:00Z", true},
		{"Saturday", weekend, "2026-03-07T00:00:00Z", true},
		{"Monday", weekend, "2026-03-09T00:00:00Z", false},
		{"before the night", night, "2026-03-06T20:59:59Z", false},
		{"the night begins", night, "2026-03-06T21:00:00Z", true},
		{"after midnight it is still Friday's night", night, "2026-03-07T04:59:59Z", true},
		{"the night is over", night, "2026-03-07T05:00:00Z", false},
		{"Thursday's night is not meant", night, "2026-03-06T02:00:00Z", false},
		{"summer time", night, "2026-07-03T20:00:00Z", true},
		{"until midnight", Calendar{From: 18 * 60, To: 24 * 60}, "2026-03-04T23:59:00Z", true},
		{"from midnight", Calendar{From: 0, To: 360}, "2026-03-04T00:00:00Z", true},
		{"not from midnight", Calendar{From: 0, To: 360}, "2026-03-04T06:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.calendar.Holds(at); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	days, err := ParseDays([]string{"sat", "Sunday"})
	if err != nil || !slices.Equal(days, []time.Weekday{time.Saturday, time.Sunday}) {
		t.Errorf("days are %v, %v", days, err)
	}
	if _, err := ParseDays([]string{"s"}); err == nil {
		t.Error("a day of one letter is taken")
	}
	for text, want := range map[string][2]int{"": {0, 0}, "00:00-06:00": {0, 360}, "22:30 - 24:00": {1350, 1440}, "22:00-06:00": {1320, 360}} {
		from, to, err := ParseHours(text)
		if err != nil || from != want[0] || to != want[1] {
			t.Errorf("%q is %d, %d, %v", text, from, to, err)
		}
	}
	for _, text := range []string{"8", "08:00", "25:00-26:00", "08:00-08:00", "24:00-06:00", "a-b"} {
		if _, _, err := ParseHours(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestBoundsLeaveOutNobody(t *testing.T) {
	t.Parallel()
	r := rules()
	r.Special = []Special{{IdleAfter: Never, MaxAge: 4 * time.Hour}, {IdleAfter: 30 * time.Minute}, {MaxAge: 9 * time.Hour}}
	used, started := r.Bounds(noon)
	if !used.Equal(ago(20*time.Minute)) || !started.Equal(ago(4*time.Hour-10*time.Minute)) {
		t.Errorf("bounds are %v and %v", used, started)
	}
	used, started = Rules{}.Bounds(noon)
	if !used.IsZero() || !started.IsZero() {
		t.Errorf("without rules there are bounds: %v, %v", used, started)
	}
}
