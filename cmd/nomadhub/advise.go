package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nomadhub/nomadhub/profile"
	"github.com/nomadhub/nomadhub/scheduler"
)

// adviceAgain is how long to wait before a cluster that was away is asked again.
const adviceAgain = 30 * time.Second

// adviser tells in the log what of the profiles the cluster will not do, such as limits that it ignores: when the hub starts, and when its configuration
// has changed. Nobody waits for it.
type adviser struct {
	cluster scheduler.Advisor
	log     *slog.Logger
	news    chan loaded // the newest configuration
	again   time.Duration
}

// newAdviser returns nil for a scheduler that has no advice.
func newAdviser(s scheduler.Scheduler, log *slog.Logger) *adviser {
	cluster, ok := s.(scheduler.Advisor)
	if !ok {
		return nil
	}
	return &adviser{cluster: cluster, log: log, news: make(chan loaded, 1), again: adviceAgain}
}

// tell leaves a configuration to be looked at, in place of one that was not looked at yet. One goroutine calls it.
func (a *adviser) tell(l loaded) {
	if a == nil {
		return
	}
	select {
	case <-a.news:
	default:
	}
	a.news <- l
}

func (a *adviser) run(ctx context.Context) error {
	var now loaded
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case now = <-a.news:
		case <-retry:
		}
		retry = nil
		if err := a.advise(ctx, now); err != nil && ctx.Err() == nil {
			a.log.DebugContext(ctx, "the cluster was not asked about the profiles yet", "err", err)
			retry = time.After(a.again)
		}
	}
}

// advise asks about everything that the profiles come to. An error means that the cluster could not be asked.
func (a *adviser) advise(ctx context.Context, l loaded) error {
	told := map[string]bool{}
	for _, c := range cases(l.profiles) {
		if c.Err != nil {
			continue // whoever starts it is told, and config check tells
		}
		sentences, err := a.ask(ctx, specOf(c, *l.Notebook))
		if err != nil {
			return err
		}
		for _, s := range sentences {
			if !told[s] {
				told[s] = true
				a.log.WarnContext(ctx, "the cluster does not do what a profile says", "profile", caseName(c), "advice", s)
			}
		}
	}
	return nil
}

// ask returns the advice on one case. What the cluster refuses is advice too.
func (a *adviser) ask(ctx context.Context, spec scheduler.Spec) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, planPatience)
	defer cancel()
	sentences, err := a.cluster.Advise(ctx, spec)
	if rejected, ok := errors.AsType[*scheduler.RejectedError](err); ok {
		return []string{rejected.Reason}, nil
	}
	return sentences, err
}

// caseName is how a case is called in the log.
func caseName(c profile.Case) string {
	if c.Profile == "" {
		return ""
	}
	return c.String()
}
