package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// nearPorts is how many ports right below those of outgoing connections are tried first. A server takes seconds until it listens, and until then the kernel may
// give a port out of its own range to anybody's connection.
const nearPorts = 768

// freePort finds a port of the loopback interface that nobody listens on and that no living server of ours was given.
func (s *Scheduler) freePort() (int, error) {
	taken := make(map[string]bool)
	for _, srv := range s.servers {
		if srv.rec.Phase != phaseDead {
			taken[srv.rec.Address] = true
		}
	}
	first := firstOutgoingPort()
	for _, i := range rand.Perm(nearPorts) { //nolint:gosec // spreads hubs on one machine; not a secret
		port := first - 1 - i
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if taken[address] {
			continue
		}
		if l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err == nil {
			return port, l.Close()
		}
	}
	return offeredPort(taken)
}

// offeredPort takes what the kernel offers, when a machine runs very many servers.
func offeredPort(taken map[string]bool) (int, error) {
	for range len(taken) + 1 {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // held until we have chosen, so that the kernel offers another one each time
		if !taken[l.Addr().String()] {
			return l.Addr().(*net.TCPAddr).Port, nil
		}
	}
	return 0, errors.New("find a free port: all that the system offered are taken")
}

// firstOutgoingPort is where the ports begin that the kernel gives to outgoing connections.
func firstOutgoingPort() int {
	const linuxDefault = 32768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return linuxDefault
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return linuxDefault
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil || first <= 1024+nearPorts {
		return linuxDefault
	}
	return first
}
