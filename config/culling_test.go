package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[Span]time.Duration{"": 0, "never": -1, "90s": 90 * time.Second} {
		if got := text.Value(); got != want || text.validate("x") != nil {
			t.Errorf("%q is %v, %v", text, got, text.validate("x"))
		}
	}
	for _, text := range []Span{"-1h", "0s", "1", "Never"} {
		if text.validate("x") == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

const rules = `
culling {
  idle_after = "1h"
  rule "nights" {
    groups     = ["course"]
    days       = ["sat"]
    hours      = "00:00-06:00"
    timezone   = "Europe/Berlin"
    idle_after = "15m"
    busy_cpu   = 0
  }
  rule "gpu" {
    profiles         = ["gpu"]
    max_age          = "never"
    count_open_pages = true
  }
}
usage {
  limit "students" {
    groups            = ["course"]
    period            = "week"
    hard_memory_hours = 100
  }
}
`

func TestRulesAreRead(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, rules)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	want := []CullRule{
		{
			Name: "nights", Groups: []string{"course"}, Days: []string{"sat"}, Hours: "00:00-06:00", Timezone: "Europe/Berlin", IdleAfter: "15m",
			BusyCPU: new(0.0),
		},
		{Name: "gpu", Profiles: []string{"gpu"}, MaxAge: "never", OpenPages: new(true)},
	}
	if !reflect.DeepEqual(c.Culling.Rules, want) {
		t.Errorf("rules are %+v", c.Culling.Rules)
	}
	if c.Culling.Warning != "10m" || !c.Culling.BusyKernels {
		t.Errorf("the block lost its defaults: %+v", c.Culling)
	}
	again := mustLoad(t, hclOf(t, Describe(c)))
	if len(again.Culling.Rules) != 2 || again.Culling.Rules[0].OpenPages != nil || *again.Culling.Rules[1].OpenPages != true || *again.Culling.Rules[0].BusyCPU != 0 {
		t.Errorf("written and read back, the rules are %+v", again.Culling.Rules)
	}
}

func TestALaterFileReplacesARule(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a.hcl": rules, "b.hcl": "culling {\n  rule \"nights\" {\n    idle_after = \"never\"\n  }\n  rule \"third\" {}\n}\n"})
	base := Default("/data")
	before := base.Culling
	c, err := Load(base, []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range c.Culling.Rules {
		names = append(names, r.Name+" "+string(r.IdleAfter))
	}
	if got := strings.Join(names, ", "); got != "nights never, gpu , third " || c.Culling.Rules[0].Groups != nil || c.Culling.IdleAfter != "1h" {
		t.Errorf("rules are %q: %+v", got, c.Culling)
	}
	if len(before.Rules) != 0 || before.IdleAfter != "" {
		t.Error("the base was changed")
	}
	if _, err := load(t, "usage {\n  limit \"x\" {}\n  limit \"x\" {}\n}\n"); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("two limits of one name in one file: %v", err)
	}
}

func TestBadRulesAreRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`culling { idle_after = "soon" }`:                                      "culling.idle_after",
		`culling { warning = "0s" }`:                                           "CULLING_WARNING",
		`culling { busy_cpu = -1 }`:                                            "culling.busy_cpu",
		"culling {\nrule \"r\" {\nmax_age = \"x\"\n}\n}":                       `culling.rule "r": max_age`,
		"culling {\nrule \"r\" {\ntimezone = \"Mars\"\n}\n}":                   "no time zone",
		`usage { timezone = "Mars" }`:                                          "usage.timezone",
		`usage { core_mhz = 0 }`:                                               "usage.core_mhz",
		"usage {\nlimit \"l\" {\nper = \"planet\"\n}\n}":                       "per must be",
		"usage {\nlimit \"l\" {\nper = \"group\"\n}\n}":                        "needs groups",
		"usage {\nlimit \"l\" {\nperiod = \"year\"\n}\n}":                      "period must be",
		"usage {\nlimit \"l\" {\nhard_cpu_hours = -1\n}\n}":                    "hard_cpu_hours",
		"usage {\nlimit \"l\" {\nsoft_cpu_hours = 3\nhard_cpu_hours = 2\n}\n}": "soft_cpu_hours is above",
	} {
		c, err := load(t, text)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
