package mux

import (
	"context"
	"slices"

	"github.com/nomadhub/nomadhub/scheduler"
)

// Warm implements [scheduler.Warmer]. Machines belong to regions and not to namespaces, so the first place of each region sees to them. Of several regions
// each keeps the images of those pools in which it has machines.
func (s *Scheduler) Warm(ctx context.Context, images []scheduler.WarmImage) error {
	several := slices.ContainsFunc(s.places, func(p Place) bool { return p.Region != s.places[0].Region })
	return failures(askAll(ctx, s, s.firstOfRegion, func(ctx context.Context, m Member) (struct{}, error) {
		kept := images
		if several {
			nodes, err := m.Nodes(ctx)
			if err != nil {
				return struct{}{}, err
			}
			kept = slices.DeleteFunc(slices.Clone(images), func(i scheduler.WarmImage) bool {
				return i.Pool != "" && !slices.ContainsFunc(nodes, func(n scheduler.Node) bool { return n.Pool == i.Pool })
			})
		}
		return struct{}{}, m.Warm(ctx, kept)
	}))
}

// Warmth implements [scheduler.Warmer]: the sum over all regions.
func (s *Scheduler) Warmth(ctx context.Context) ([]scheduler.Warmth, error) {
	lists := askAll(ctx, s, s.firstOfRegion, func(ctx context.Context, m Member) ([]scheduler.Warmth, error) { return m.Warmth(ctx) })
	if err := failures(lists); err != nil {
		return nil, err
	}
	var all []scheduler.Warmth
	for _, list := range lists {
		for _, w := range list.value {
			at := slices.IndexFunc(all, func(known scheduler.Warmth) bool { return known.WarmImage == w.WarmImage })
			if at < 0 {
				all = append(all, w)
				continue
			}
			all[at].Nodes += w.Nodes
			all[at].Ready += w.Ready
		}
	}
	return all, nil
}
