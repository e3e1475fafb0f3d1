package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// What is compared is measured in turn, so that each ratio is of seconds that lie side by side: a machine does the same work in up to a third more or less time from one
// quarter of an hour to the next. All hubs are there meanwhile, on one core, and none is without work of its own: a JupyterHub with 10,000 servers that nobody asks anything
// looks at each of them every 30 s, which takes some 4 % of that core, in bursts that would come into the others' times. So whoever is not asked is held (SIGSTOP).
//
// That is fair because clocks go on for who is held. What falls due meanwhile is done once when its turn comes, before anything is measured; and what falls due while it is
// measured is as much as if it had never been held, because JupyterHub's looks keep their places in their 30 s. Nobody takes anything from who is held: our hub is alone on
// its database here, without a lease that could run out, and JupyterHub has none; no request is under way; and the database's connections are of this machine.

// hold keeps the process from going on until it is resumed or ended.
func (c *child) hold() error {
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("hold %s: %w", c.name, err)
	}
	c.held = true
	return nil
}

const (
	// calmLook is for how long a process is looked at: long against the 10 ms in which the kernel counts.
	calmLook = 250 * time.Millisecond
	// calmShare is how much of a core it may use then. At rest JupyterHub with 10,000 servers uses a fifth of that, and with anything to catch up all that there is.
	calmShare = 0.2
	// calmPatience is how long it may take to catch up.
	calmPatience = 2 * time.Minute
)

// resume has the process go on, if it is held, and returns when it has caught up.
func (c *child) resume(ctx context.Context) error {
	if !c.held {
		return nil
	}
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("resume %s: %w", c.name, err)
	}
	c.held = false
	return c.await(ctx, calmPatience, c.calm)
}

// calm is nil if the process does no more than at rest.
func (c *child) calm(ctx context.Context) error {
	before, err := cpuTime(c.pid())
	if err != nil {
		return err
	}
	began := time.Now()
	if !pause(ctx, calmLook) {
		return ctx.Err()
	}
	after, err := cpuTime(c.pid())
	if err != nil {
		return err
	}
	return calmAt((after - before).Seconds() / time.Since(began).Seconds())
}

// calmAt is nil if that many cores are no more than at rest.
func calmAt(cores float64) error {
	if cores > calmShare {
		return fmt.Errorf("it has something to catch up, with %.0f %% of a core", 100*cores)
	}
	return nil
}

// inTurn calls do for each hub, one after the other. Where there are several, only the one whose turn it is goes on.
func inTurn[Hub interface {
	fmt.Stringer
	process() *child
}](ctx context.Context, hubs []Hub, do func(ctx context.Context, i int) error) error {
	for i, s := range hubs {
		if err := s.process().resume(ctx); err != nil {
			return err
		}
		if err := do(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		if len(hubs) == 1 {
			continue
		}
		if err := s.process().hold(); err != nil {
			return err
		}
	}
	return nil
}
