package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/hub/budget"
	"github.com/nomadhub/nomadhub/hub/cull"
)

// cullRules are the rules about idle and old servers that a configuration means.
func cullRules(c config.Culling) (*cull.Rules, error) {
	r := cull.Rules{
		Limits: cull.Limits{
			IdleAfter: c.IdleAfter.Value(), MaxAge: c.MaxAge.Value(),
			Counts: cull.Counts{OpenPages: c.OpenPages, BusyKernels: c.BusyKernels, Output: c.Output, CPU: c.BusyCPU, Devices: c.BusyDevices},
		},
		Warning: c.Warning.Value(), KeepFor: c.KeepFor.Value(), Interval: c.Interval.Value(), Observe: c.ActivityInterval.Value(),
		ExemptAdmins: c.ExemptAdmins, ExemptUsers: normalized(c.ExemptUsers),
	}
	var errs []error
	for _, rule := range c.Rules {
		special, err := cullRule(rule)
		if err != nil {
			errs = append(errs, fmt.Errorf("culling.rule %q: %w", rule.Name, err))
		}
		r.Special = append(r.Special, special)
	}
	return &r, errors.Join(errs...)
}

func cullRule(c config.CullRule) (cull.Special, error) {
	s := cull.Special{
		Name: c.Name, Users: some(normalized(c.Users)), Groups: some(c.Groups), Profiles: some(c.Profiles),
		IdleAfter: c.IdleAfter.Value(), MaxAge: c.MaxAge.Value(),
		OpenPages: c.OpenPages, BusyKernels: c.BusyKernels, Output: c.Output, CPU: c.BusyCPU, Devices: c.BusyDevices,
	}
	var err1, err2, err3 error
	s.Calendar.Days, err1 = cull.ParseDays(c.Days)
	s.Calendar.From, s.Calendar.To, err2 = cull.ParseHours(c.Hours)
	s.Calendar.Zone, err3 = time.LoadLocation(c.Timezone)
	return s, errors.Join(err1, err2, err3)
}

// usageRules are the rules about usage that a configuration means.
func usageRules(c config.Usage) (budget.Rules, error) {
	zone, err := time.LoadLocation(c.Timezone)
	r := budget.Rules{
		Grace: c.Grace.Value(), Zone: zone, ExemptAdmins: c.ExemptAdmins, Interval: c.Interval.Value(), Retention: c.Retention.Value(),
		CoreMHz: float64(c.CoreMHz),
	}
	for _, l := range c.Limits {
		limit := budget.Limit{
			Name: l.Name, PerGroup: l.Per == "group", Users: some(normalized(l.Users)), Groups: some(l.Groups), Period: budget.Period(l.Period),
			Soft: budget.Amount{MemoryHours: l.SoftMemoryHours, CPUHours: l.SoftCPUHours, DeviceHours: l.SoftDeviceHours},
			Hard: budget.Amount{MemoryHours: l.HardMemoryHours, CPUHours: l.HardCPUHours, DeviceHours: l.HardDeviceHours},
		}
		if limit.Period == "" {
			limit.Period = budget.Month
		}
		r.Limits = append(r.Limits, limit)
	}
	return r, err
}

// some is nil where a list is empty: an option that is there and says nothing is as one that is not there.
func some(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return list
}

// checkRules finds what is wrong with the rules about idle servers and about usage beyond what package config can tell.
func checkRules(cfg config.Config) error {
	_, err1 := cullRules(*cfg.Culling)
	_, err2 := usageRules(*cfg.Usage)
	return errors.Join(err1, err2)
}
