package hub

import (
	"errors"

	"github.com/nomadhub/nomadhub/scheduler"
)

// mayBeNobodys reports whether a server that no reachable part of the scheduler knows can be taken for one that nobody knows. That is right where it is the worst
// that can be: a start that nobody has taken over is handed over, which changes nothing where somebody has, and a server that was stopped stays so. One that
// runs is never given up for it.
func mayBeNobodys(err error, w *worker, s Server) bool {
	away, ok := errors.AsType[*scheduler.AwayError](err)
	if !ok || !away.Partly {
		return false
	}
	return s.State == Stopped || s.State == Starting && s.Instance == "" && !w.run.registered
}

// troubleMessage tells a person who waits why a server's worker does not get on.
func troubleMessage(err error) string {
	if away, ok := errors.AsType[*scheduler.AwayError](err); ok {
		return away.Reason + " Trying again."
	}
	if errors.Is(err, scheduler.ErrUnavailable) {
		return "The scheduler cannot be reached at this moment. Trying again."
	}
	return "Something the server needs cannot be reached at this moment. Trying again."
}
