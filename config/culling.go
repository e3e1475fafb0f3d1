package config

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Span is a length of time as Duration is, or "never", or "", which says nothing.
type Span string

// Never is what a Span says that sets no limit and lets nobody else set one.
const Never Span = "never"

// Value returns the length of time; 0 for "" and -1 for "never". Validate has seen to it that it can be read.
func (s Span) Value() time.Duration {
	if s == Never {
		return -1
	}
	return Duration(s).Value()
}

func (s Span) validate(name string) error {
	if s == "" || s == Never {
		return nil
	}
	if d, err := time.ParseDuration(string(s)); err != nil || d <= 0 {
		return fmt.Errorf("%s: %q is not a length of time above zero, such as 30s, nor never", name, s)
	}
	return nil
}

// Culling says which servers are stopped because nobody uses them, or because of their age. Without limits here and in profiles none is.
type Culling struct {
	IdleAfter        Span     `hcl:"idle_after,optional" doc:"Stops servers that nothing shows to be used for so long, such as 1h; empty: none."`
	MaxAge           Span     `hcl:"max_age,optional" doc:"Stops servers so long after their start, however much they are used; empty: none."`
	Warning          Duration `hcl:"warning,optional" doc:"How long before a stop its owner is told, at least."`
	KeepFor          Duration `hcl:"keep_for,optional" doc:"For how long \"keep it running\" holds off a stop for idleness."`
	Interval         Duration `hcl:"interval,optional" doc:"How often all servers are looked at."`
	ActivityInterval Duration `hcl:"activity_interval,optional" doc:"How often servers report activity. After an outage of a hub nothing counts as idle for so long."`
	OpenPages        bool     `hcl:"count_open_pages,optional" doc:"Whether a page that is open counts as use, though nobody does anything in it: all that JupyterHub calls activity."`
	BusyKernels      bool     `hcl:"count_busy_kernels,optional" doc:"Whether a kernel that runs something counts as use."`
	Output           bool     `hcl:"count_output,optional" doc:"Whether messages count as use that a server sends to its pages."`
	BusyCPU          float64  `hcl:"busy_cpu,optional" doc:"From so many cores on, the use of processors counts as use of the server; 0: it is not looked at."`
	BusyDevices      float64  `hcl:"busy_devices,optional" doc:"From so many percent on, the use of a GPU or another device counts as use of the server; 0: it is not looked at."`
	ExemptAdmins     bool     `hcl:"exempt_admins,optional" doc:"Whether servers of administrators are left alone."`
	ExemptUsers      []string `hcl:"exempt_users,optional" doc:"Users whose servers are left alone."`

	Rules []CullRule `hcl:"rule,block" doc:"Limits for some servers, at some times. Of each limit the first rule holds that matches and sets it, before that of the profile and those above. What is not set (null, or empty) is left to these."`
}

// CullRule holds for some servers, at some times.
type CullRule struct {
	Name        string   `hcl:"name,label"`
	Users       []string `hcl:"users,optional" doc:"Only servers of these users."`
	Groups      []string `hcl:"groups,optional" doc:"Only servers of members of any of these groups."`
	Profiles    []string `hcl:"profiles,optional" doc:"Only servers that were started with any of these profiles."`
	Days        []string `hcl:"days,optional" doc:"Only on these days: mon, tue, wed, thu, fri, sat, sun."`
	Hours       string   `hcl:"hours,optional" doc:"Only in these hours of the days, such as 22:00-06:00, which ends on the next day."`
	Timezone    string   `hcl:"timezone,optional" doc:"By whose clock, such as Europe/Berlin; default: UTC."`
	IdleAfter   Span     `hcl:"idle_after,optional" doc:"As above, or never."`
	MaxAge      Span     `hcl:"max_age,optional" doc:"As above, or never."`
	OpenPages   *bool    `hcl:"count_open_pages,optional" doc:"As above."`
	BusyKernels *bool    `hcl:"count_busy_kernels,optional" doc:"As above."`
	Output      *bool    `hcl:"count_output,optional" doc:"As above."`
	BusyCPU     *float64 `hcl:"busy_cpu,optional" doc:"As above."`
	BusyDevices *float64 `hcl:"busy_devices,optional" doc:"As above."`
}

// Usage says how the ledger of usage is kept, and what it limits.
type Usage struct {
	Retention    Duration `hcl:"retention,optional" doc:"For how long runs that have ended are kept."`
	CoreMHz      int      `hcl:"core_mhz,optional" doc:"How many MHz of a reservation count as one core."`
	Timezone     string   `hcl:"timezone,optional" doc:"Whose days, weeks and months are meant, such as Europe/Berlin."`
	Grace        Duration `hcl:"grace,optional" doc:"How long servers go on after a hard limit is reached."`
	Interval     Duration `hcl:"interval,optional" doc:"How often the ledger is compared with what runs, and limits are looked at."`
	ExemptAdmins bool     `hcl:"exempt_admins,optional" doc:"Whether limits do not hold for administrators."`

	Limits []UsageLimit `hcl:"limit,block" doc:"A limit of use. 0 limits nothing. From a soft limit on owners are told; from a hard one on nothing starts, and what runs is stopped after the grace period. There may be several blocks; a later file replaces one by using its name again."`
}

// UsageLimit limits what is used in a period.
type UsageLimit struct {
	Name            string   `hcl:"name,label"`
	Per             string   `hcl:"per,optional" doc:"user: each user has it alone; group: all members of each of the groups share it. Default: user."`
	Users           []string `hcl:"users,optional" doc:"For these users. Without users and groups: for everybody."`
	Groups          []string `hcl:"groups,optional" doc:"For members of these groups, or for these groups."`
	Period          string   `hcl:"period,optional" doc:"day, week or month. Default: month."`
	SoftMemoryHours float64  `hcl:"soft_memory_hours,optional" doc:"GiB of memory times hours."`
	HardMemoryHours float64  `hcl:"hard_memory_hours,optional" doc:"The same."`
	SoftCPUHours    float64  `hcl:"soft_cpu_hours,optional" doc:"Cores times hours."`
	HardCPUHours    float64  `hcl:"hard_cpu_hours,optional" doc:"The same."`
	SoftDeviceHours float64  `hcl:"soft_device_hours,optional" doc:"Devices times hours."`
	HardDeviceHours float64  `hcl:"hard_device_hours,optional" doc:"The same."`
}

// named are the lists of named blocks within blocks, which a later file adds to.
type named struct {
	rules  []CullRule
	limits []UsageLimit
}

// takeNamed takes them out, so that a file's own are read into nothing that is there. The blocks are copied: what was loaded before stays as it was.
func (c *Config) takeNamed() (before named) {
	if c.Culling != nil {
		culling := *c.Culling
		before.rules, culling.Rules = culling.Rules, nil
		c.Culling = &culling
	}
	if c.Usage != nil {
		usage := *c.Usage
		before.limits, usage.Limits = usage.Limits, nil
		c.Usage = &usage
	}
	return before
}

// mergeNamed puts a file's own after those of the files before. One of the same name takes the place of the earlier.
func (c *Config) mergeNamed(file string, before named) error {
	var err1, err2 error
	if c.Culling != nil {
		c.Culling.Rules, err1 = merge(file, "culling.rule", before.rules, c.Culling.Rules, func(r CullRule) string { return r.Name })
	}
	if c.Usage != nil {
		c.Usage.Limits, err2 = merge(file, "usage.limit", before.limits, c.Usage.Limits, func(l UsageLimit) string { return l.Name })
	}
	return errors.Join(err1, err2)
}

func merge[T any](file, what string, before, own []T, name func(T) string) ([]T, error) {
	merged := slices.Clone(before)
	seen := map[string]bool{}
	for _, v := range own {
		if seen[name(v)] {
			return nil, fmt.Errorf("%s: two blocks %s have the name %q; give each its own", file, what, name(v))
		}
		seen[name(v)] = true
		if i := slices.IndexFunc(merged, func(old T) bool { return name(old) == name(v) }); i >= 0 {
			merged[i] = v
		} else {
			merged = append(merged, v)
		}
	}
	return merged, nil
}

func (c Culling) validate() error {
	errs := []error{
		c.IdleAfter.validate("culling.idle_after"), c.MaxAge.validate("culling.max_age"),
		notNegative("culling.busy_cpu", c.BusyCPU), notNegative("culling.busy_devices", c.BusyDevices),
	}
	for _, r := range c.Rules {
		block := fmt.Sprintf("culling.rule %q: ", r.Name)
		errs = append(errs, r.IdleAfter.validate(block+"idle_after"), r.MaxAge.validate(block+"max_age"), validateZone(block+"timezone", r.Timezone))
		for name, v := range map[string]*float64{"busy_cpu": r.BusyCPU, "busy_devices": r.BusyDevices} {
			if v != nil {
				errs = append(errs, notNegative(block+name, *v))
			}
		}
	}
	return errors.Join(errs...)
}

func (u Usage) validate() error {
	errs := []error{validateZone("usage.timezone", u.Timezone)}
	if u.CoreMHz < 1 {
		errs = append(errs, fmt.Errorf("usage.core_mhz is %d, and must be at least 1", u.CoreMHz))
	}
	for _, l := range u.Limits {
		errs = append(errs, l.validate(fmt.Sprintf("usage.limit %q: ", l.Name)))
	}
	return errors.Join(errs...)
}

func (l UsageLimit) validate(block string) error {
	var errs []error
	if !slices.Contains([]string{"", "user", "group"}, l.Per) {
		errs = append(errs, fmt.Errorf("%sper must be user or group, and is %q", block, l.Per))
	}
	if l.Per == "group" && len(l.Groups) == 0 {
		errs = append(errs, fmt.Errorf("%sa limit per group needs groups", block))
	}
	if l.Per == "group" && len(l.Users) > 0 {
		errs = append(errs, fmt.Errorf("%sa limit per group takes no users; it holds for the groups' members", block))
	}
	if !slices.Contains([]string{"", "day", "week", "month"}, l.Period) {
		errs = append(errs, fmt.Errorf("%speriod must be day, week or month, and is %q", block, l.Period))
	}
	for _, r := range []struct {
		name       string
		soft, hard float64
	}{
		{"memory_hours", l.SoftMemoryHours, l.HardMemoryHours}, {"cpu_hours", l.SoftCPUHours, l.HardCPUHours}, {"device_hours", l.SoftDeviceHours, l.HardDeviceHours},
	} {
		errs = append(errs, notNegative(block+"soft_"+r.name, r.soft), notNegative(block+"hard_"+r.name, r.hard))
		if r.hard > 0 && r.soft > r.hard {
			errs = append(errs, fmt.Errorf("%ssoft_%s is above hard_%s, so nobody would be told in time", block, r.name, r.name))
		}
	}
	return errors.Join(errs...)
}

func notNegative(name string, v float64) error {
	if v < 0 {
		return fmt.Errorf("%s is %v, and must not be below zero", name, v)
	}
	return nil
}

func validateZone(name, zone string) error {
	if _, err := time.LoadLocation(zone); err != nil {
		return fmt.Errorf("%s: %q is no time zone that this machine knows, such as Europe/Berlin", name, zone)
	}
	return nil
}
