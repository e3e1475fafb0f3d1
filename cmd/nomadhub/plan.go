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

// question is what the cluster is asked about: something that the configuration has it run.
type question struct {
	name string
	spec scheduler.Spec
	err  error // why there is nothing to be asked
	of   scheduler.Scheduler
}

// checkCluster asks the cluster about all that it would have to run. It fails only for what can never run: a cluster that is away, or has no room at this moment, says
// nothing about the configuration.
func checkCluster(ctx context.Context, w io.Writer, questions []question) error {
	p := planning{out: w, told: map[string]bool{}}
	never := 0
	for _, q := range questions {
		can, err := p.check(ctx, q)
		if err != nil {
			_, err = fmt.Fprintf(w, "The cluster could not be asked whether all can be placed: %v\nThe option -offline leaves this part of the check out.\n", err)
			return err
		}
		if !can {
			never++
		}
	}
	if never > 0 {
		return fmt.Errorf("%d of what profiles and services come to can never run on this cluster; see above", never)
	}
	return nil
}

// aboutProfiles is all that the profiles come to.
func aboutProfiles(notebook config.Notebook, set *profile.Set, of scheduler.Scheduler) []question {
	all := cases(set)
	questions := make([]question, len(all))
	for i, c := range all {
		questions[i] = question{name: "Servers", spec: specOf(c, notebook), of: of}
		if c.Profile != "" {
			questions[i].name = "Profile " + c.String()
		}
		if c.Err != nil {
			questions[i].err = cmp.Or(errors.Unwrap(c.Err), c.Err)
		}
	}
	return questions
}

// cases are what the profiles come to; without any, the one job that all servers are.
func cases(set *profile.Set) []profile.Case {
	if all := set.Cases(); len(all) > 0 {
		return all
	}
	return []profile.Case{{}}
}

// aboutServices is what the cluster runs for services.
func aboutServices(services []config.Service, of scheduler.Scheduler) []question {
	var questions []question
	for _, c := range services {
		if s := serviceOf(c, true); s.Job != nil {
			questions = append(questions, question{name: fmt.Sprintf("Service %q", s.Name), spec: s.Job.Spec(s.Service), of: of})
		}
	}
	return questions
}

type planning struct {
	out  io.Writer
	told map[string]bool // advice that was given already
}

// check tells about one thing, and whether it can run at all. An error means that the cluster could not be asked.
func (p *planning) check(ctx context.Context, q question) (can bool, err error) {
	if q.err != nil {
		_, err := fmt.Fprintf(p.out, "%s: has a mistake. %v\n", q.name, q.err)
		return false, err
	}
	planner, ok := q.of.(scheduler.Planner)
	if !ok {
		return true, nil // on this machine: there is nothing to be placed
	}
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	forecast, err := planner.Plan(ctx, q.spec)
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		forecast, err = scheduler.Forecast{Verdict: scheduler.FitsNever, Reason: rejected.Reason}, nil
	}
	if err != nil {
		return false, err
	}
	if err := p.tell(q.name, forecast); err != nil {
		return false, err
	}
	if forecast.Verdict == scheduler.FitsNever {
		return false, nil
	}
	return true, p.advise(ctx, q)
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
func (p *planning) advise(ctx context.Context, q question) error {
	advisor, ok := q.of.(scheduler.Advisor)
	if !ok {
		return nil
	}
	advice, err := advisor.Advise(ctx, q.spec)
	if err != nil {
		return err
	}
	for _, sentence := range advice {
		if p.told[sentence] {
			continue
		}
		p.told[sentence] = true
		if _, err := fmt.Fprintf(p.out, "  Mind (%s): %s\n", q.name, sentence); err != nil {
			return err
		}
	}
	return nil
}

// specOf is the server of nobody, with those of its volumes that the operator made.
func specOf(c profile.Case, notebook config.Notebook) scheduler.Spec {
	s := scheduler.Spec{ID: "config-check", Generation: 1, Env: c.Env, Resources: c.Resources, Workload: c.Workload}
	if s.Resources.CPU == 0 && s.Resources.Cores == 0 && s.Resources.CPUGuarantee == 0 {
		s.Resources.CPU = notebook.CPU
	}
	if s.Resources.MemoryMB == 0 && s.Resources.MemoryMaxMB == 0 {
		s.Resources.MemoryMB, s.Resources.MemoryMaxMB = notebook.Memory, notebook.MemoryMax
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
