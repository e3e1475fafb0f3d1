package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/nomadhub/nomadhub/config"
	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// planPatience is how long the cluster may take to answer one question of a check.
const planPatience = 15 * time.Second

// checkCluster asks the cluster about everything that the profiles come to. It fails only for what can never run: a cluster that is away, or
// has no room at this moment, says nothing about the configuration.
func checkCluster(ctx context.Context, w io.Writer, cfg config.Config, set *profile.Set, sched scheduler.Scheduler) error {
	planner, ok := sched.(scheduler.Planner)
	if !ok {
		return nil // servers on this machine: there is nothing to be placed
	}
	p := planning{out: w, planner: planner, notebook: *cfg.Notebook, told: map[string]bool{}}
	p.advisor, _ = sched.(scheduler.Advisor)
	never := 0
	for _, c := range cases(set) {
		can, err := p.check(ctx, c)
		if err != nil {
			_, err = fmt.Fprintf(w, "The cluster could not be asked whether the profiles can be placed: %v\nThe option -offline leaves this part of the check out.\n", err)
			return err
		}
		if !can {
			never++
		}
	}
	if never > 0 {
		return fmt.Errorf("%d of what the profiles offer can never run on this cluster; see above", never)
	}
	return nil
}

// cases are what the profiles come to; without any, the one job that all servers are.
func cases(set *profile.Set) []profile.Case {
	if all := set.Cases(); len(all) > 0 {
		return all
	}
	return []profile.Case{{}}
}

type planning struct {
	out      io.Writer
	planner  scheduler.Planner
	advisor  scheduler.Advisor // nil: there is none
	notebook config.Notebook
	told     map[string]bool // advice that was given already
}

// check tells about one case, and whether it can run at all. An error means that the cluster could not be asked.
func (p *planning) check(ctx context.Context, c profile.Case) (can bool, err error) {
	name := "Servers"
	if c.Profile != "" {
		name = "Profile " + c.String()
	}
	if c.Err != nil {
		_, err := fmt.Fprintf(p.out, "%s: has a mistake. %v\n", name, cmp.Or(errors.Unwrap(c.Err), c.Err))
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	forecast, err := p.planner.Plan(ctx, p.spec(c))
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		forecast, err = scheduler.Forecast{Verdict: scheduler.FitsNever, Reason: rejected.Reason}, nil
	}
	if err != nil {
		return false, err
	}
	if err := p.tell(name, forecast); err != nil {
		return false, err
	}
	if forecast.Verdict == scheduler.FitsNever {
		return false, nil
	}
	return true, p.advise(ctx, name, c)
}

func (p *planning) tell(name string, f scheduler.Forecast) error {
	verdict := map[scheduler.Verdict]string{
		scheduler.FitsNow: "fits now.", scheduler.FitsLater: "would wait at this moment.", scheduler.FitsNever: "can never run.",
	}[f.Verdict]
	if f.Reason != "" {
		verdict += " " + f.Reason
	}
	_, err := fmt.Fprintf(p.out, "%s: %s\n", name, verdict)
	return err
}

// advise tells what the cluster would ignore, each sentence once.
func (p *planning) advise(ctx context.Context, name string, c profile.Case) error {
	if p.advisor == nil {
		return nil
	}
	advice, err := p.advisor.Advise(ctx, p.spec(c))
	if err != nil {
		return err
	}
	for _, sentence := range advice {
		if p.told[sentence] {
			continue
		}
		p.told[sentence] = true
		if _, err := fmt.Fprintf(p.out, "  Mind (%s): %s\n", name, sentence); err != nil {
			return err
		}
	}
	return nil
}

// spec is what the cluster is asked about: the server of nobody, with those of its volumes that the operator made.
func (p *planning) spec(c profile.Case) scheduler.Spec {
	s := scheduler.Spec{ID: "config-check", Generation: 1, Env: c.Env, Resources: c.Resources, Workload: c.Workload}
	if s.Resources.CPU == 0 && s.Resources.Cores == 0 && s.Resources.CPUGuarantee == 0 {
		s.Resources.CPU = p.notebook.CPU
	}
	if s.Resources.MemoryMB == 0 && s.Resources.MemoryMaxMB == 0 {
		s.Resources.MemoryMB, s.Resources.MemoryMaxMB = p.notebook.Memory, p.notebook.MemoryMax
	}
	s.Workload.Tasks = slices.Clone(s.Workload.Tasks)
	mounted := map[string]bool{}
	for _, v := range c.Volumes {
		if v.Existing != "" || v.Mount.Kind == scheduler.MountSticky {
			mounted[v.Name] = true
			s.Workload.Mounts = append(slices.Clip(s.Workload.Mounts), v.Mount)
		}
	}
	for i, t := range s.Workload.Tasks {
		s.Workload.Tasks[i].Mounts = map[string]string{}
		for name, path := range t.Mounts {
			if mounted[name] {
				s.Workload.Tasks[i].Mounts[name] = path
			}
		}
	}
	return s
}
