package stack

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"

	"github.com/nomadhub/nomadhub/internal/freeport"
)

const loopback = "127.0.0.1"

// FreePorts returns n TCP ports of the loopback address that nobody listens on, and that no other process of this kind chooses.
func FreePorts(n int) ([]int, error) { return freeport.Find(n) }

// PortFree says whether nobody listens on the port of the loopback address.
func PortFree(port int) bool { return freeport.Free(port) }

// portRange is a span of ports for one Nomad client to give to its tasks. Two Nomads on one machine do not know of each
// other and would hand out the same port; whoever listens on a range's first port owns the range.
type portRange struct {
	guard net.Listener
	first int
	last  int
}

const (
	rangesFrom = 20000
	rangeSize  = 500
	ranges     = 24 // up to 31999, below the ports that Linux takes for outgoing connections
)

func takePortRange() (*portRange, error) {
	for _, i := range rand.Perm(ranges) {
		first := rangesFrom + i*rangeSize
		guard, err := net.Listen("tcp", hostPort(first)) //nolint:noctx // the loopback address answers at once
		if err == nil {
			return &portRange{guard: guard, first: first + 1, last: first + rangeSize - 1}, nil
		}
	}
	return nil, errors.New("no range of ports for tasks is free: too many stacks run on this machine")
}

func hostPort(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

func (r *portRange) release() error {
	err := r.guard.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
