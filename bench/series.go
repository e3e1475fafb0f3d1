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

	first, ready, busyReady, answered, boots []float64
	quiet                                    bool
}

func (s *series) key(name string) key {
	return key{Operation: "O13", Name: name, Database: s.database, Unit: "ms"}
}

// alone starts one server after the other while nothing else happens, through the hub and through Nomad alone.
func (s *series) alone(ctx context.Context, template string) error {
	s.quiet = true
	err := s.repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
		mine, err := s.startEach(ctx, s.starts, 1) // and the one of the warm-up
		if err != nil {
			return nil, err
		}
		theirs, err := s.cluster.startBare(ctx, s.self, template, fmt.Sprintf("bare%d-", number), s.starts, 1)
		return func(in round) { s.report(in, mine, theirs.Starts) }, err
	})
	if err != nil {
		return err
	}
	in := round{number: s.rounds, quiet: s.quiet}
	s.add(s.key("first_event_p99"), ours, in, percentile(s.first, 0.99))
	s.add(s.key("usable_p99"), ours, in, percentile(s.ready, 0.99))
	s.add(s.key("usable_p99"), bare, in, percentile(s.answered, 0.99))
	s.add(s.key("added_p99"), ours, in, percentile(s.ready, 0.99)-percentile(s.answered, 0.99))
	s.add(s.key("beyond_boot_p99"), ours, in, percentile(s.ready, 0.99)-median(s.boots))
	s.add(key{Operation: "O13", Name: "samples", Database: s.database, Unit: "starts"}, ours, in, float64(len(s.ready)))
	return nil
}

func (s *series) report(in round, mine []hubStart, theirs []bareStart) {
	var first, ready, answered, running, boots []float64
	for _, x := range mine {
		first, ready = append(first, x.firstEvent), append(ready, x.ready)
	}
	for _, x := range theirs {
		answered, running, boots = append(answered, x.Answered), append(running, x.Running), append(boots, x.Answered-x.Placed)
	}
	s.add(s.key("first_event_p50"), ours, in, median(first))
	s.add(s.key("usable_p50"), ours, in, median(ready))
	s.add(s.key("usable_p50"), bare, in, median(answered))
	s.add(s.key("said_to_run_p50"), bare, in, median(running))
	s.add(s.key("added_p50"), ours, in, median(ready)-median(answered))
	s.add(s.key("beyond_boot_p50"), ours, in, median(ready)-median(boots))
	s.first, s.ready, s.answered, s.boots = append(s.first, first...), append(s.ready, ready...), append(s.answered, answered...), append(s.boots, boots...)
	s.quiet = s.quiet && in.quiet
}

// busy does the same while others wait for an answer of theirs. What the hub adds then is beyond what Nomad alone takes while nothing else happens.
func (s *series) busy(ctx context.Context) error {
	if err := s.hold(ctx); err != nil {
		return err
	}
	s.quiet = true
	err := s.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		mine, err := s.startEach(ctx, s.starts, 1)
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
