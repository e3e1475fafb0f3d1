package local

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/scheduler"
)

// checkWorkload refuses what a process of this machine cannot have. Guarantees and limits of processor, memory and disk are no such
// thing: the package's comment says that nobody is held to them, and the hub tells them to the server in its environment.
func checkWorkload(spec scheduler.Spec) error {
	w := spec.Workload
	refused := []struct {
		asked bool
		what  string
	}{
		{w.Template != "", "a jobspec"},
		{w.Driver != "" && w.Driver != "raw_exec", fmt.Sprintf("the driver %q", w.Driver)},
		{w.Image != "", fmt.Sprintf("the image %q", w.Image)},
		{w.User != "", "an account of its own choice"},
		{len(w.Config) > 0, "options of a driver"},
		{!isZero(w.Placement), "another machine, a condition on it, or a priority"},
		{!isZero(w.Network), "a network or ports of its own"},
		{len(w.Mounts) > 0, "mounts"},
		{len(w.Tasks) > 0, "tasks beside it"},
		{w.Restart != nil && w.Restart.Attempts > 0, "restarts by itself"},
		{w.Reschedule != nil && (w.Reschedule.Attempts > 0 || w.Reschedule.Unlimited), "another machine after a failure"},
		{spec.Resources.Cores > 0, "processor cores for itself alone"},
		{len(spec.Resources.Devices) > 0, "devices"},
	}
	for _, r := range refused {
		if r.asked {
			return &scheduler.RejectedError{
				Reason: fmt.Sprintf("The profile asks for %s, and a hub that runs servers as processes of its own machine cannot give that. "+
					"Choose another profile, or run servers on Nomad.", r.what),
				Err: errors.New("the local scheduler cannot give " + r.what),
			}
		}
	}
	if w.StopSignal != "" && unix.SignalNum(w.StopSignal) == 0 {
		return &scheduler.RejectedError{
			Reason: fmt.Sprintf("The signal %q is unknown on the hub's machine. The operator can correct the profile.", w.StopSignal),
			Err:    errors.New("unknown signal " + w.StopSignal),
		}
	}
	return nil
}

func isZero(v any) bool { return reflect.ValueOf(v).IsZero() }

// program returns what the server runs: a profile's command and arguments, each in the place of the operator's. The operator's
// arguments are for the operator's command only.
func (s *Scheduler) program(w scheduler.Workload) []string {
	command, args := s.opts.Command[0], s.opts.Command[1:]
	if w.Command != "" {
		command, args = w.Command, nil
	}
	if w.Args != nil {
		args = w.Args
	}
	return append([]string{command}, args...)
}

// manners are how a server is asked to end.
type manners struct {
	first     unix.Signal   // what asks it
	patience  time.Duration // until SIGTERM
	terminate time.Duration // from then until SIGKILL
}

// manners returns what holds for one server: its record keeps what its profile said, also after the hub was restarted.
func (s *Scheduler) manners(rec record) manners {
	m := manners{first: unix.SIGINT, patience: s.opts.InterruptGrace, terminate: s.opts.TerminateGrace}
	if known := unix.SignalNum(rec.StopSignal); known != 0 {
		m.first = known
	}
	if rec.StopTimeout > 0 {
		m.patience = rec.StopTimeout
	}
	return m
}
