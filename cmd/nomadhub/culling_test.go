package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub/budget"
	"github.com/nomadhub/nomadhub/hub/cull"
)

func TestNothingIsCulledOrLimitedByDefault(t *testing.T) {
	t.Parallel()
	c := config.Default(t.TempDir())
	rules, err := cullRules(*c.Culling)
	if err != nil || rules.IdleAfter != 0 || rules.MaxAge != 0 || len(rules.Special) != 0 || rules.Warning != 10*time.Minute || !rules.Counts.BusyKernels {
		t.Errorf("rules are %+v, %v", rules, err)
	}
	usage, err := usageRules(*c.Usage)
	if err != nil || len(usage.Limits) != 0 || usage.Zone != time.UTC {
		t.Errorf("usage is %+v, %v", usage, err)
	}
}

func TestRulesOfAConfiguration(t *testing.T) {
	t.Parallel()
	got := check(t, entrance+`
culling {
  rule "nights" {
    users      = [" Ada "]
    days       = ["sat", "sun"]
    hours      = "22:00-06:00"
    timezone   = "Europe/Berlin"
    idle_after = "never"
  }
}
usage {
  limit "gpu" {
    per               = "group"
    groups            = ["course"]
    hard_device_hours = 10
  }
}
`)
	if got.err != nil {
		t.Fatal(got.err)
	}
	rule, err := cullRule(config.CullRule{
		Name: "nights", Users: []string{" Ada "}, Groups: []string{}, Days: []string{"sat"}, Hours: "22:00-06:00", Timezone: "Europe/Berlin", IdleAfter: "never",
	})
	if err != nil || rule.IdleAfter != cull.Never || rule.Users[0] != "ada" || rule.Groups != nil || rule.Calendar.From != 22*60 || rule.Calendar.Zone.String() != "Europe/Berlin" {
		t.Errorf("the rule is %+v, %v", rule, err)
	}
	usage, err := usageRules(config.Usage{CoreMHz: 1, Limits: []config.UsageLimit{{Name: "gpu", Per: "group", Groups: []string{"course"}, HardDeviceHours: 10}}})
	if err != nil || !usage.Limits[0].PerGroup || usage.Limits[0].Period != budget.Month || usage.Limits[0].Hard.DeviceHours != 10 || usage.Limits[0].Users != nil {
		t.Errorf("usage is %+v, %v", usage, err)
	}
	for text, want := range map[string]string{`days = ["someday"]`: "someday", `hours = "8 to 9"`: "8 to 9"} {
		bad := check(t, entrance+"culling {\n  rule \"r\" {\n    "+text+"\n  }\n}\n")
		if bad.err == nil || !strings.Contains(bad.err.Error(), want) || !strings.Contains(bad.err.Error(), `culling.rule "r"`) {
			t.Errorf("%s: %v", text, bad.err)
		}
	}
}
