// Package freeport finds TCP ports of the loopback address for servers that tests and trials start.
//
// A port that the kernel hands out is free at that moment only: until the server takes it, it may become the near end of somebody's outgoing connection, and on a
// busy machine it does. So ports come from below those that Linux takes for outgoing connections, in blocks: a process owns a block for as long as it listens on the
// block's first port, so that two processes never choose the same one.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	from      = 10000
	blockSize = 250
	blocks    = 40 // up to 19999; stacks give the ports from 20000 on to tasks
)

// block is what this process owns.
type block struct {
	mu    sync.Mutex
	guard net.Listener
	first int
	next  int // offset of the port to try next; 0 is the guard's
}

var own block //nolint:gochecknoglobals // a process has one block, whoever asks

// Find returns n ports on which nobody listens. A port is handed out again only when all others of the block were.
func Find(n int) ([]int, error) {
	own.mu.Lock()
	defer own.mu.Unlock()
	if err := own.take(); err != nil {
		return nil, err
	}
	var ports []int
	for range blockSize - 1 {
		if len(ports) == n {
			break
		}
		own.next = own.next%(blockSize-1) + 1
		if port := own.first + own.next; Free(port) {
			ports = append(ports, port)
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("only %d of %d ports are free: too many servers run on this machine", len(ports), n)
	}
	return ports, nil
}

// Free tells whether nobody listens on the port.
func Free(port int) bool {
	l, err := net.Listen("tcp", address(port)) //nolint:noctx // the loopback address answers at once
	return err == nil && l.Close() == nil
}

func (b *block) take() error {
	if b.guard != nil {
		return nil
	}
	for _, i := range rand.Perm(blocks) {
		first := from + i*blockSize
		if guard, err := net.Listen("tcp", address(first)); err == nil { //nolint:noctx // as above
			b.guard, b.first = guard, first
			return nil
		}
	}
	return errors.New("no block of ports is free: too many tests run on this machine")
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
