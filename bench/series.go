package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// inFlight is how many other starts are under way while one is measured.
const inFlight = 200

// heldProfile has some servers run nothing, so that their starts wait for an answer until they are stopped.
const heldProfile = `
profile "plain" {
  default = true
}
profile "held" {
  driver = "mock_driver"
  config {
    run_for = "1000h"
  }
}`

// series are starts one after the other, and what came of them in all rounds together: a percentile near the end needs all of them.
type series struct {
	*run
	*hubProcess
	cluster  *cluster
	database string

	told boots

	first, ready, busyReady, answered []float64
	beyond, bareBeyond                []float64 // each start's own boot
	quiet                             bool
}

func (s *series) key(name string) key {
	return key{Operation: "O13", Name: name, Database: s.database, Unit: "ms"}
}

// alone starts one server after the other while nothing else happens, through the hub and through Nomad alone.
func (s *series) alone(ctx context.Context, template string) error {
	s.quiet = true
	err := s.repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
		var own []float64
		mine, err := s.startEach(ctx, s.starts, 1, func(ctx context.Context) (err error) { // and the one of the warm-up
			own, err = s.boots(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		theirs, err := s.cluster.startBare(ctx, s.self, template, fmt.Sprintf("bare%d-", number), s.starts, 1)
		if err != nil {
			return nil, err
		}
		bares, err := s.bareBoots(theirs.Starts)
		return func(in round) { s.report(in, mine, own, theirs.Starts, bares) }, err
	})
	if err != nil {
		return err
	}
	in := round{number: s.rounds, quiet: s.quiet}
	s.add(s.key("first_event_p99"), ours, in, percentile(s.first, 0.99))
	s.add(s.key("usable_p99"), ours, in, percentile(s.ready, 0.99))
	s.add(s.key("usable_p99"), bare, in, percentile(s.answered, 0.99))
	s.add(s.key("added_p99"), ours, in, percentile(s.ready, 0.99)-percentile(s.answered, 0.99))
	s.add(s.key("beyond_boot_p99"), ours, in, percentile(s.beyond, 0.99))
	s.add(s.key("beyond_boot_p99"), bare, in, percentile(s.bareBeyond, 0.99))
	s.add(key{Operation: "O13", Name: "samples", Database: s.database, Unit: "starts"}, ours, in, float64(len(s.ready)))
	return nil
}

// boots are those of the servers that were started, in their order.
func (s *series) boots(ctx context.Context) ([]float64, error) {
	var all []float64
	for i := range s.starts {
		server, err := s.serverOf(ctx, userName(i))
		if err != nil {
			return nil, err
		}
		own, err := s.told.ofJob(ctx, s.cluster.nomad, s.job(server))
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	return all, nil
}

func (s *series) bareBoots(starts []bareStart) ([]float64, error) {
	var all []float64
	for _, x := range starts {
		own, err := s.told.of(x.Alloc, x.Created)
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	return all, nil
}

// report takes the starts of a round and each one's own boot.
func (s *series) report(in round, mine []hubStart, own []float64, theirs []bareStart, bares []float64) {
	var first, ready, beyond, answered, running, bareBeyond []float64
	for i, x := range mine {
		first, ready, beyond = append(first, x.firstEvent), append(ready, x.ready), append(beyond, x.ready-own[i])
	}
	for i, x := range theirs {
		answered, running, bareBeyond = append(answered, x.Answered), append(running, x.Running), append(bareBeyond, x.Answered-bares[i])
	}
	s.add(s.key("first_event_p50"), ours, in, median(first))
	s.add(s.key("usable_p50"), ours, in, median(ready))
	s.add(s.key("usable_p50"), bare, in, median(answered))
	s.add(s.key("said_to_run_p50"), bare, in, median(running))
	s.add(s.key("added_p50"), ours, in, median(ready)-median(answered))
	s.add(s.key("beyond_boot_p50"), ours, in, median(beyond))
	s.add(s.key("beyond_boot_p50"), bare, in, median(bareBeyond))
	s.first, s.ready, s.answered = append(s.first, first...), append(s.ready, ready...), append(s.answered, answered...)
	s.beyond, s.bareBeyond = append(s.beyond, beyond...), append(s.bareBeyond, bareBeyond...)
	s.quiet = s.quiet && in.quiet
}

// busy does the same while others wait for an answer of theirs. What the hub adds then is beyond what Nomad alone takes while nothing else happens.
func (s *series) busy(ctx context.Context) error {
	if err := s.hold(ctx); err != nil {
		return err
	}
	s.quiet = true
	err := s.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		mine, err := s.startEach(ctx, s.starts, 1, func(context.Context) error { return nil })
		return func(in round) {
			var ready []float64
			for _, x := range mine {
				ready = append(ready, x.ready)
			}
			s.add(s.key("usable_among_200_p50"), ours, in, median(ready))
			s.add(s.key("added_among_200_p50"), ours, in, median(ready)-median(s.answered))
			s.busyReady = append(s.busyReady, ready...)
			s.quiet = s.quiet && in.quiet
		}, err
	})
	if err != nil {
		return err
	}
	in := round{number: s.rounds, quiet: s.quiet}
	s.add(s.key("usable_among_200_p99"), ours, in, percentile(s.busyReady, 0.99))
	s.add(s.key("added_among_200_p99"), ours, in, percentile(s.busyReady, 0.99)-percentile(s.answered, 0.99))
	return nil
}

// holdPatience is how long Nomad may take to give a place to the servers that will not answer.
const holdPatience = 3 * time.Minute

// hold asks for the servers that will not answer, and returns when each has a place and runs: what Nomad's client still has to do for them would be in the first start that is measured.
func (s *series) hold(ctx context.Context) error {
	err := inParallel(ctx, inFlight, bareParallel, func(ctx context.Context, i int) error {
		user := userName(s.starts + 1 + i)
		status, text, err := s.call(ctx, s.public, http.MethodPost, "/users/"+user+"/server", `{"profile": "held"}`)
		if err == nil && status != http.StatusAccepted {
			err = fmt.Errorf("start of %s: %d %s", user, status, text)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = s.await(ctx, holdPatience, func(ctx context.Context) error {
		pause(ctx, time.Second)
		servers, _, err := s.store.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Starting}})
		placed := 0
		for _, v := range servers {
			if v.Address != "" {
				placed++
			}
		}
		if err == nil && placed < inFlight {
			err = fmt.Errorf("%d of %d servers have a place", placed, inFlight)
		}
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, holdPatience)
	defer cancel()
	return s.cluster.awaitRunning(ctx, inFlight)
}
