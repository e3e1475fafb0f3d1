package checker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var lab = Server{"alice", "lab"}

// row is what an answer tells of a server with a record.
func row(phase Phase, generation int64) Seen {
	return Seen{Phase: phase, ID: "s1", Generation: generation}
}

func ok(seen Seen) Answer             { return Answer{Verdict: Accepted, Seen: seen} }
func came(o Outcome, s string) Answer { return Answer{Verdict: Accepted, Outcome: o, Says: s} }
func no(phase Phase) Answer           { return Answer{Verdict: Refused, Seen: Seen{Phase: phase}} }

// asked records calls of one client after the other.
type asked []struct {
	kind   Kind
	answer Answer
}

func (a asked) record(h *History, client string) {
	for _, call := range a {
		h.Begin(client, lab, call.kind).End(call.answer)
	}
}

func TestHistoriesOfOneClient(t *testing.T) {
	t.Parallel()
	steady := Model{Steady: true}
	failed := row(Stopped, 1)
	failed.Failed = new(true)
	unharmed := row(Stopped, 1)
	unharmed.Failed = new(false)
	elsewhere := row(Ready, 1)
	elsewhere.Instance = "b"
	here := row(Ready, 1)
	here.Instance = "a"
	up, down := asked{{Start, ok(row(Starting, 1))}, {Read, ok(row(Ready, 1))}}, asked{{Stop, ok(row(Stopping, 1))}, {Read, ok(row(Stopped, 1))}}
	for name, c := range map[string]struct {
		model Model
		calls asked
		right bool
	}{
		"a life":                                  {steady, join(up, down), true},
		"two lives":                               {steady, join(up, down, asked{{Start, ok(row(Starting, 2))}, {Read, ok(row(Ready, 2))}}), true},
		"absent before the first start":           {steady, join(asked{{Read, ok(Seen{Phase: Absent})}, {Stop, ok(Seen{Phase: Absent})}}, up), true},
		"a start twice is one":                    {steady, asked{{Start, ok(row(Starting, 1))}, {Start, ok(row(Starting, 1))}}, true},
		"a start of what runs is refused":         {steady, join(up, asked{{Start, no(Ready)}}), true},
		"a start during a stop is refused":        {steady, join(up, asked{{Stop, ok(row(Stopping, 1))}, {Start, no(Stopping)}}), true},
		"removed, and made anew":                  {steady, join(up, asked{{Remove, ok(row(Stopping, 1))}, {Read, ok(Seen{Phase: Absent})}, {Start, ok(Seen{Phase: Starting, ID: "s2", Generation: 1})}}), true},
		"restarted":                               {steady, join(up, asked{{Restart, ok(row(Stopping, 1))}, {Read, ok(row(Ready, 2))}}), true},
		"restarted, then stopped":                 {steady, join(up, asked{{Restart, ok(row(Stopping, 1))}, {Stop, ok(row(Stopping, 1))}, {Read, ok(row(Stopped, 1))}}), true},
		"failed":                                  {Model{}, asked{{Start, ok(row(Starting, 1))}, {Read, ok(failed)}}, true},
		"moved":                                   {Model{Moves: true}, join(up, asked{{Read, ok(row(Ready, 2))}}), true},
		"visited while it runs":                   {steady, join(up, asked{{Visit, ok(Seen{Generation: 1})}, {Stop, ok(row(Stopping, 1))}, {Visit, ok(Seen{Generation: 1})}}), true},
		"user deleted":                            {steady, join(up, down, asked{{Forget, ok(Seen{})}, {Read, ok(Seen{Phase: Absent})}}), true},
		"answers with outcomes":                   {steady, asked{{Start, came(Up, "201")}, {Stop, came(Gone, "204")}, {Stop, came(Gone, "204")}}, true},
		"failed start":                            {Model{}, asked{{Start, came(Broken, "500")}, {Read, ok(failed)}}, true},
		"the start is lost after 202":             {steady, asked{{Start, ok(Seen{})}, {Read, ok(Seen{Phase: Absent})}}, false},
		"the second start is lost":                {Model{}, join(up, down, asked{{Start, ok(Seen{})}, {Read, ok(row(Stopped, 1))}}), false},
		"ends unasked, and is not failed":         {Model{}, join(up, asked{{Read, ok(unharmed)}}), false},
		"ends unasked":                            {steady, join(up, asked{{Read, ok(row(Stopped, 1))}}), false},
		"runs unasked":                            {Model{}, asked{{Read, ok(row(Starting, 1))}}, false},
		"ready after the stop, without a start":   {Model{}, asked{{Start, came(Up, "201")}, {Stop, came(Gone, "204")}, {Read, ok(row(Ready, 1))}}, false},
		"started again unasked":                   {Model{}, join(up, down, asked{{Read, ok(row(Starting, 2))}}), false},
		"a start that counts twice":               {Model{}, join(up, down, asked{{Start, ok(row(Starting, 3))}}), false},
		"generation goes back":                    {Model{}, join(up, down, asked{{Start, ok(row(Starting, 2))}, {Read, ok(row(Ready, 2))}, {Read, ok(row(Ready, 1))}}), false},
		"stops before anybody asked":              {steady, asked{{Start, ok(row(Starting, 1))}, {Read, ok(row(Stopping, 1))}, {Stop, ok(row(Stopping, 1))}}, false},
		"from ready back to starting":             {Model{}, join(up, asked{{Read, ok(row(Starting, 1))}}), false},
		"a start is accepted while it runs":       {Model{Steady: true}, join(up, asked{{Start, ok(row(Starting, 2))}}), false},
		"refused as running, when stopped":        {Model{}, join(up, down, asked{{Start, no(Ready)}}), false},
		"visited after it is stopped":             {Model{}, join(up, down, asked{{Visit, ok(Seen{Generation: 1})}}), false},
		"visited before it is started":            {Model{}, asked{{Visit, ok(Seen{Generation: 1})}}, false},
		"the last run answers during the next":    {Model{}, join(up, down, asked{{Start, ok(row(Starting, 2))}, {Visit, ok(Seen{Generation: 1})}}), false},
		"two allocations of one run":              {Model{}, asked{{Start, ok(row(Starting, 1))}, {Read, ok(here)}, {Read, ok(elsewhere)}}, false},
		"the record comes back":                   {Model{}, join(up, asked{{Remove, ok(row(Stopping, 1))}, {Read, ok(Seen{Phase: Absent})}, {Start, ok(row(Starting, 1))}}), false},
		"a removed server is still there":         {Model{}, join(up, down, asked{{Remove, ok(Seen{})}, {Read, ok(row(Stopped, 1))}}), false},
		"the user of a running server deleted":    {steady, join(up, asked{{Forget, ok(Seen{})}}), false},
		"told to have failed, where nothing does": {steady, asked{{Start, came(Broken, "500")}}, false},
		"restarted into the same run":             {steady, join(up, asked{{Restart, ok(row(Stopping, 1))}, {Read, ok(row(Ready, 1))}}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Model: c.model})
			c.calls.record(h, "script")
			if err := h.Check(time.Minute); (err == nil) != c.right {
				t.Errorf("judged: %v", err)
			}
		})
	}
}

func join(parts ...asked) (all asked) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestCallsAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do    func(h *History)
		right bool
	}{
		"a stop overtakes a start": {func(h *History) {
			start, stop := h.Begin("a", lab, Start), h.Begin("b", lab, Stop)
			start.End(ok(row(Starting, 1)))
			stop.End(ok(row(Stopping, 1)))
		}, true},
		"a stop comes before the start": {func(h *History) {
			start, stop := h.Begin("a", lab, Start), h.Begin("b", lab, Stop)
			stop.End(ok(Seen{Phase: Absent}))
			start.End(came(Up, "201"))
			h.Begin("a", lab, Read).End(ok(row(Ready, 1)))
		}, true},
		"two starts at once make one run": {func(h *History) {
			a, b := h.Begin("a", lab, Start), h.Begin("b", lab, Start)
			a.End(ok(row(Starting, 1)))
			b.End(no(Ready))
		}, true},
		"a start is cancelled": {func(h *History) {
			start := h.Begin("a", lab, Start)
			h.Begin("b", lab, Read).End(ok(row(Starting, 1)))
			h.Begin("b", lab, Stop).End(came(Gone, "204"))
			start.End(came(Gone, "cancelled"))
		}, true},
		"up while another stops it": {func(h *History) {
			start := h.Begin("a", lab, Start)
			h.Begin("b", lab, Read).End(ok(row(Ready, 1)))
			h.Begin("b", lab, Stop).End(came(Gone, "204"))
			start.End(came(Up, "201"))
			h.Begin("b", lab, Read).End(ok(row(Stopped, 1)))
		}, true},
		"a restart joins a start that is over": {func(h *History) {
			restart := h.Begin("a", lab, Restart)
			h.Begin("b", lab, Start).End(ok(row(Starting, 1)))
			h.Begin("b", lab, Stop).End(came(Gone, "204"))
			restart.End(ok(row(Stopped, 1)))
			h.Begin("b", lab, Read).End(ok(row(Stopped, 1)))
		}, true},
		"two starts at once make two runs": {func(h *History) {
			a, b := h.Begin("a", lab, Start), h.Begin("b", lab, Start)
			a.End(ok(row(Starting, 1)))
			b.End(ok(row(Starting, 2)))
		}, false},
		"two generations are ready at once": {func(h *History) {
			h.Begin("a", lab, Start).End(ok(row(Starting, 1)))
			one, two := h.Begin("a", lab, Read), h.Begin("b", lab, Read)
			one.End(ok(row(Ready, 1)))
			two.End(ok(row(Ready, 2)))
		}, false},
		"cancelled, with nobody who stopped it": {func(h *History) {
			h.Begin("a", lab, Start).End(came(Gone, "cancelled"))
			h.Begin("a", lab, Read).End(ok(row(Ready, 1)))
		}, false},
		"201 before it was ready": {func(h *History) {
			h.Begin("a", lab, Start).End(came(Up, "201"))
			h.Begin("a", lab, Read).End(ok(row(Starting, 1)))
		}, false},
		"204 before it was gone": {func(h *History) {
			h.Begin("a", lab, Start).End(came(Up, "201"))
			h.Begin("a", lab, Stop).End(came(Gone, "204"))
			h.Begin("a", lab, Read).End(ok(row(Stopping, 1)))
		}, false},
		"201 for the run before": {func(h *History) {
			h.Begin("a", lab, Start).End(came(Up, "201"))
			start := h.Begin("b", lab, Start)
			h.Begin("a", lab, Stop).End(came(Gone, "204"))
			start.End(came(Up, "201"))
			h.Begin("a", lab, Read).End(ok(row(Starting, 2)))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Model: Model{Steady: true}})
			c.do(h)
			if err := h.Check(time.Minute); (err == nil) != c.right {
				t.Errorf("judged: %v", err)
			}
		})
	}
}

// TestLostAnswers: what nobody heard an answer of may have happened, or not, or happens later; but only once.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then  asked
		right bool
	}{
		"it happened":       {asked{{Read, ok(row(Starting, 1))}}, true},
		"it did not":        {asked{{Read, ok(Seen{Phase: Absent})}, {Start, ok(row(Starting, 1))}, {Read, ok(row(Ready, 1))}}, true},
		"it happened later": {asked{{Read, ok(Seen{Phase: Absent})}, {Read, ok(row(Ready, 1))}}, true},
		"it happened twice": {asked{{Read, ok(row(Starting, 1))}, {Stop, ok(row(Stopping, 1))}, {Read, ok(row(Stopped, 1))}, {Read, ok(row(Starting, 2))}}, false},
		"a run without it":  {asked{{Read, ok(row(Ready, 1))}, {Read, ok(row(Stopped, 1))}}, false},
	} {
		for how, lose := range map[string]func(*Call){
			"cut": func(c *Call) { c.Lost("connection reset") }, "never answered": func(*Call) {},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				h := New(Options{Model: Model{Steady: true}})
				lose(h.Begin("killed", lab, Start))
				c.then.record(h, "after")
				if err := h.Check(time.Minute); (err == nil) != c.right {
					t.Errorf("judged: %v", err)
				}
			})
		}
	}
}

func TestServersAreJudgedApart(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	asked{{Start, ok(row(Starting, 1))}}.record(h, "script")
	h.Begin("script", Server{User: "bob"}, Read).End(ok(Seen{Phase: Ready, ID: "s2", Generation: 1}))
	err := h.Check(time.Minute)
	if err == nil || !strings.Contains(err.Error(), "bob/: no order") || strings.Contains(err.Error(), "alice") {
		t.Errorf("judged: %v", err)
	}
}

func TestWhatIsFoundCanBeRead(t *testing.T) {
	t.Parallel()
	h := New(Options{Model: Model{Steady: true}})
	asked{{Start, came(Up, "201")}, {Stop, came(Gone, "204")}, {Read, ok(row(Ready, 1))}, {Read, ok(row(Ready, 1))}}.record(h, "script")
	err := h.Check(time.Minute)
	if err == nil {
		t.Fatal("nothing is found")
	}
	var marked []string
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, ">") {
			marked = append(marked, line)
		}
	}
	if len(marked) != 1 || !strings.Contains(marked[0], "read     accepted, ready generation 1 id s1") {
		t.Errorf("marked is %q in\n%v", marked, err)
	}
	for _, part := range []string{"accepted, gone, «204»", "before it, the server was one of:\n  stopped generation 1\n"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in\n%v", part, err)
		}
	}
}

func TestPollsThatSeeNoChangeAreForgotten(t *testing.T) {
	t.Parallel()
	h := New(Options{Model: Model{Steady: true}, Limit: 10})
	asked{{Start, ok(row(Starting, 1))}}.record(h, "script")
	for range 1000 {
		h.Begin("poll", lab, Read).End(ok(row(Ready, 1)))
	}
	asked{{Stop, ok(row(Stopping, 1))}}.record(h, "script")
	if err := h.Check(time.Minute); err != nil || h.kept != 4 {
		t.Errorf("%d calls are kept: %v", h.kept, err)
	}
	h.Begin("poll", lab, Read).End(ok(row(Ready, 1)))
	if err := h.Check(time.Minute); err == nil {
		t.Error("the last of them is not looked at")
	}
}

func TestAHistoryIsBounded(t *testing.T) {
	t.Parallel()
	h := New(Options{Limit: 3})
	for range 5 {
		h.Begin("script", lab, Stop).End(ok(Seen{}))
	}
	if err := h.Check(time.Minute); err == nil || !strings.Contains(err.Error(), "2 calls were more than the 3") {
		t.Errorf("judged: %v", err)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	h.Find("the answer is %s's", "mallory")
	if err := h.Check(time.Minute); err == nil || !strings.Contains(err.Error(), "the answer is mallory's") {
		t.Errorf("judged: %v", err)
	}
}

// TestManyCallsAtOnce: the search must end soon where it is hardest, with many calls at the same time of which some come too late.
func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	const crowd, late, rounds = 200, 80, 5
	h := New(Options{Model: Model{Steady: true}})
	for round := range rounds {
		var calls []*Call
		for i := range crowd / 2 {
			calls = append(calls, h.Begin(fmt.Sprint(i), lab, Start))
		}
		for i, c := range slices.Backward(calls[late:]) { // more ask when the first have their answers
			calls = append(calls, h.Begin(fmt.Sprint("second ", i), lab, Start))
			c.End(ok(row(Starting, int64(round+1))))
		}
		calls = slices.Delete(calls, late, crowd/2)
		for _, c := range calls[late:] {
			c.End(came(Up, "201"))
		}
		for _, c := range calls[:late] {
			c.End(no(Ready))
		}
		h.Begin("poll", lab, Read).End(ok(row(Ready, int64(round+1))))
		h.Begin("last", lab, Stop).End(came(Gone, "204"))
	}
	begun := time.Now()
	if err := h.Check(time.Minute); err != nil {
		t.Error(err)
	}
	t.Logf("judged in %s", time.Since(begun))
}

// TestCrowdsThatWantOpposites: starts and stops of one server at once, several times, where no answer tells which run it is about.
func TestCrowdsThatWantOpposites(t *testing.T) {
	t.Parallel()
	const each = 4
	told := func(last Answer) *History {
		h := New(Options{Model: Model{Steady: true}})
		at := Server{User: "ada"}
		for generation := int64(1); generation <= 4; generation++ {
			var starts, stops []*Call
			for range each {
				starts, stops = append(starts, h.Begin("script", at, Start)), append(stops, h.Begin("script", at, Stop))
			}
			look := h.Begin("list", at, Read)
			stops[0].End(ok(Seen{}))
			if generation%2 == 0 { // what it was a moment ago is told after the stop was accepted
				starts[0].End(no(Ready))
				starts[1].End(no(Stopping))
			} else {
				starts[0].End(came(Gone, "cancelled"))
				starts[1].End(ok(Seen{}))
			}
			for i := 1; i < each; i++ {
				stops[i].End(came(Gone, ""))
				if i > 1 {
					starts[i].End(came(Gone, "cancelled"))
				}
			}
			look.End(ok(row(Stopped, generation)))
			h.Begin("script", at, Read).End(ok(row(Stopped, generation)))
		}
		h.Begin("script", at, Read).End(last)
		return h
	}
	if err := told(ok(row(Stopped, 4))).Check(verifyWithin); err != nil {
		t.Errorf("what can be explained: %v", err)
	}
	if err := told(ok(row(Ready, 4))).Check(verifyWithin); err == nil || !strings.Contains(err.Error(), "has no place") {
		t.Errorf("a server that runs though nobody started it: %v", err)
	}
}

func TestRecordingFromManySides(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				h.Begin(fmt.Sprint(i), lab, Stop).End(ok(Seen{Phase: Absent}))
			}
		})
	}
	all.Wait()
	if err := h.Check(time.Minute); err != nil || h.kept != 400 {
		t.Errorf("%d calls are kept: %v", h.kept, err)
	}
}
