package stack

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

const loopback = "127.0.0.1"

// FreePorts returns n TCP ports of the loopback address that nobody listens on now.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, "0")) //nolint:noctx // the loopback address answers at once
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all are held until all are found, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// PortFree says whether nobody listens on the port of the loopback address.
func PortFree(port int) bool {
	l, err := net.Listen("tcp", hostPort(port)) //nolint:noctx // the loopback address answers at once
	if err != nil {
		return false
	}
	return l.Close() == nil
}

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
