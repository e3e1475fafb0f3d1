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

// claim is a port that was given to a server, which takes seconds until it listens there. Whoever gives out ports for servers of this machine would find it free until
// then, so the UDP port of the same number, which no notebook server uses, is held for as long as the server lives or this hub does.
type claim struct {
	port  int
	guard *net.UDPConn
}

func (c *claim) release() {
	if c != nil {
		_ = c.guard.Close() // that it is closed already is fine
	}
}

// loopback is the address at which servers listen.
func loopback() net.IP { return net.IPv4(127, 0, 0, 1) }

// claimPort claims a port for TCP unless somebody has it, or has been given it.
func claimPort(port int) *claim {
	guard, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback(), Port: port})
	if err != nil {
		return nil
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: loopback(), Port: port})
	if err != nil || l.Close() != nil {
		_ = guard.Close()
		return nil
	}
	return &claim{port, guard}
}

// freePort claims a port of the loopback interface that nobody listens on and that no living server of ours was given.
func (s *Scheduler) freePort() (*claim, error) {
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
		if c := claimPort(port); c != nil {
			return c, nil
		}
	}
	return offeredPort(taken)
}

// maxOffers is how many ports that the kernel offers are looked at, beside those that servers of ours have.
const maxOffers = 16

// offeredPort takes what the kernel offers, when a machine runs very many servers.
func offeredPort(taken map[string]bool) (*claim, error) {
	for range len(taken) + maxOffers {
		guard, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback()})
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer guard.Close() // held until we have chosen, so that the kernel offers another one each time
		if port := guard.LocalAddr().(*net.UDPAddr).Port; !taken[guard.LocalAddr().String()] {
			_ = guard.Close()
			if c := claimPort(port); c != nil {
				return c, nil
			}
		}
	}
	return nil, errors.New("find a free port: all that the system offered are taken")
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
