package nomad

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Where a new volume goes. A dynamic host volume pins its servers to its machine, and Nomad takes the first machine that meets the conditions, always the same
// one. So the hub chooses: among the machines that take work, each gets a share of the volumes by its memory. Which one a volume gets follows from its ID, so
// that two hubs which make the same volume at the same instant turn to the same machine, which refuses the second.

// errUnsuitable says that a machine does not meet the conditions.
var errUnsuitable = errors.New("the machine does not meet the volume's conditions")

// candidates returns the machines that may have the volume, the best first.
func (s *Scheduler) candidates(ctx context.Context, v scheduler.Volume) ([]*api.NodeListStub, error) {
	q := s.query(ctx)
	q.Params = map[string]string{"resources": "true"}
	nodes, _, err := s.client.Nodes().List(q)
	if err != nil {
		return nil, translate(ctx, "listing the machines", err)
	}
	nodes = slices.DeleteFunc(nodes, func(n *api.NodeListStub) bool { return !mayHave(n, v.Placement) })
	if len(nodes) == 0 {
		return nil, noMachine(v, 0, nil)
	}
	slices.SortFunc(nodes, func(a, b *api.NodeListStub) int {
		return cmp.Or(-cmp.Compare(rank(v.ID, a), rank(v.ID, b)), strings.Compare(a.ID, b.ID))
	})
	return nodes, nil
}

func mayHave(n *api.NodeListStub, p scheduler.Placement) bool {
	if n.Status != api.NodeStatusReady || n.SchedulingEligibility != api.NodeSchedulingEligible || n.Drain {
		return false
	}
	if p.NodePool != "" && p.NodePool != api.NodePoolAll && n.NodePool != p.NodePool {
		return false
	}
	return len(p.Datacenters) == 0 || slices.ContainsFunc(p.Datacenters, func(glob string) bool {
		ok, err := path.Match(glob, n.Datacenter)
		return ok && err == nil
	})
}

// rank is higher the sooner a volume should go to a machine. Over many volumes, each machine is first for a share that is proportional to its memory
// (rendezvous hashing), and few volumes change places when machines come and go.
func rank(id string, n *api.NodeListStub) float64 {
	weight := 1.0
	if n.NodeResources != nil && n.NodeResources.Memory.MemoryMB > 0 {
		weight = float64(n.NodeResources.Memory.MemoryMB)
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(id + " " + n.ID)) // never fails
	return -weight / math.Log(unit(sum.Sum64()))
}

// unit spreads a hash over the numbers between 0 and 1, both excluded. The multiplications mix its bits, of which the high ones are poor in FNV.
func unit(h uint64) float64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	return (float64(h>>11) + 0.5) / (1 << 53)
}

func (s *Scheduler) machines(ctx context.Context) (map[string]*api.NodeListStub, error) {
	nodes, _, err := s.client.Nodes().List(s.query(ctx))
	if err != nil {
		return nil, translate(ctx, "listing the machines", err)
	}
	byID := make(map[string]*api.NodeListStub, len(nodes))
	for _, n := range nodes {
		byID[n.ID] = n
	}
	return byID, nil
}

// noMachine says that the volume can be made nowhere. Machines may come, so it is for the person to try again.
func noMachine(v scheduler.Volume, tried int, last error) error {
	where := ""
	if v.Placement.NodePool != "" {
		where = " of the pool " + v.Placement.NodePool
	}
	reason := fmt.Sprintf("The volume for the server's files cannot be made: no machine%s takes new work at this moment. Try again later, or ask the administrator.", where)
	if tried > 0 {
		reason = fmt.Sprintf("The volume for the server's files cannot be made: none of the %d machines%s meets its conditions and has the plugin %s. "+
			"Ask the administrator to look at the profile.", tried, where, cmp.Or(v.Plugin, builtInPlugin))
	}
	if last == nil {
		last = errUnsuitable
	}
	return &scheduler.RejectedError{Reason: reason, Err: fmt.Errorf("volume %s: %w", v.ID, last)}
}

// createError tells apart why Nomad did not make a volume. It answers 500 to everything, so only its words say what it was.
func (s *Scheduler) createError(ctx context.Context, v scheduler.Volume, err error) error {
	if statusCode(err) == http.StatusInternalServerError && ctx.Err() == nil {
		says := body(err)
		switch {
		case strings.Contains(says, "volume name already exists on this node"):
			return errNameTaken
		case strings.Contains(says, "no node meets constraints"):
			return fmt.Errorf("%w: %w", errUnsuitable, err)
		case isDisturbance(says):
			return translate(ctx, "making the volume", err)
		}
		return &scheduler.RejectedError{Reason: whyNotMade(v, says), Err: err}
	}
	return translate(ctx, "making the volume", err)
}

// isDisturbance reports that servers or machine did not understand each other, which passes.
func isDisturbance(says string) bool {
	for _, sign := range []string{
		"No cluster leader", "No path to node", "Unknown node", "failed to get conn", "connection", "EOF", "timeout", "deadline", "leadership", "shutdown", "rpc error: session",
	} {
		if strings.Contains(says, sign) {
			return true
		}
	}
	return false
}

// whyNotMade turns what Nomad says into what happened and what to do.
func whyNotMade(v scheduler.Volume, says string) string {
	const begins = "The volume for the server's files cannot be made: "
	switch {
	case strings.Contains(says, "quota"):
		return begins + "the namespace's quota of storage is used up. Delete what is no longer needed, or ask the administrator for more."
	case strings.Contains(says, "unknown mkdir parameter"), strings.Contains(says, "invalid value for"):
		return begins + "the profile gives the plugin a parameter that it does not take. An administrator must mend the profile. Nomad says: " + sentence(says)
	case strings.Contains(says, "permission denied"):
		return begins + "its machine does not let Nomad write there. Ask the administrator. Nomad says: " + sentence(says)
	case strings.Contains(says, "no space left"):
		return begins + "the disk of its machine is full. Ask the administrator. Nomad says: " + sentence(says)
	case strings.Contains(says, "no such plugin"), strings.Contains(says, "plugin") && strings.Contains(says, "not exist"):
		return fmt.Sprintf("%sno machine has the plugin %q. An administrator must install it or mend the profile. Nomad says: %s", begins, v.Plugin, sentence(says))
	}
	return begins + sentence(says)
}
