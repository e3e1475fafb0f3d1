package local

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/nomadhub/nomadhub/scheduler"
)

// exit is how a server ended, as far as it is known.
type exit struct {
	known     bool // false for one that this process did not start
	away      bool // it ended while no hub was looking
	rebooted  bool // the machine was restarted
	code      int
	signal    syscall.Signal // 0 if it exited by itself
	asked     bool           // the hub had asked for it
	forced    bool           // the hub had killed it
	portTaken bool           // its log says that the port was taken
}

var exitUnknown exit

func exitOf(state *os.ProcessState) exit {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return exit{known: true, signal: status.Signal()}
	}
	return exit{known: true, code: state.ExitCode()}
}

// sentence says it to the user.
func (e exit) sentence() string {
	switch {
	case e.rebooted:
		return "The server ended because the machine was restarted."
	case e.forced:
		return "The server was stopped by force, because it did not end when asked."
	case e.asked:
		return "The server was stopped."
	case e.portTaken:
		return "The server could not start, because its port was already in use by another program on this machine. Start it again."
	case e.away:
		return "The server ended while the hub was not running, so its exit code is not known."
	case !e.known:
		return "The server ended. It was started before the hub was, so its exit code is not known."
	case e.signal == syscall.SIGKILL:
		return "Killed, probably out of memory."
	case e.signal != 0:
		return fmt.Sprintf("The server was ended by the signal %s.", unix.SignalName(e.signal))
	case e.code == 0:
		return "The server ended by itself, without an error."
	default:
		return fmt.Sprintf("The server ended with exit code %d.", e.code)
	}
}

// cause says it to programs. What killed a process by SIGKILL nobody tells.
func (e exit) cause() scheduler.Cause {
	switch {
	case e.rebooted:
		return scheduler.CauseNodeLost
	case e.forced, e.asked:
		return scheduler.CauseStopped
	case e.portTaken:
		return scheduler.CausePort
	case e.signal == unix.SIGKILL:
		return scheduler.CauseKilled
	}
	return scheduler.CauseExited
}

// saysPortTaken tells whether the last lines of the log blame the server's own port, in the words of Python, of Jupyter or of
// the C library.
func saysPortTaken(folder, address string) bool {
	lines, err := tailLog(folder, 40)
	if err != nil {
		return false
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	for _, line := range lines {
		line = strings.ToLower(line)
		if strings.Contains(line, "address already in use") ||
			strings.Contains(line, "port "+port+" is already in use") || strings.Contains(line, "port "+port+" is not available") {
			return true
		}
	}
	return false
}
