package dockerd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
)

// bridge is a network device that the containers of one engine hang on. Its number is in its name and in its addresses, so that who makes the
// device owns the addresses.
type bridge struct {
	name   string // "" for none
	number int
}

// bridges is how many there can be: as many networks of 256 addresses as the range 198.18.0.0/15 has. That range is for tests of network devices
// (RFC 2544), so no network that a machine is really on uses it.
const bridges = 512

func makeBridge(ctx context.Context) (bridge, error) {
	var last error
	for _, n := range rand.Perm(bridges)[:20] {
		b := bridge{name: fmt.Sprintf("nhub%d", n), number: n}
		if last = ip(ctx, "link", "add", "name", b.name, "type", "bridge"); last != nil {
			continue // another engine's, or the kernel knows no bridges
		}
		err := errors.Join(ip(ctx, "address", "add", b.gateway()+"/24", "dev", b.name), ip(ctx, "link", "set", b.name, "up"))
		if err != nil {
			return bridge{}, errors.Join(err, b.remove())
		}
		return b, nil
	}
	return bridge{}, fmt.Errorf("make a bridge for containers: %w", last)
}

// gateway is the address of this machine on it.
func (b bridge) gateway() string { return fmt.Sprintf("198.%d.%d.1", 18+b.number/256, b.number%256) }

func (b bridge) remove() error {
	if b.name == "" {
		return nil
	}
	err := ip(context.Background(), "link", "delete", b.name)
	if err != nil && strings.Contains(err.Error(), "Cannot find device") {
		return nil
	}
	return err
}

func ip(ctx context.Context, args ...string) error {
	program, err := lookPath("ip")
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
