package profile

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// Larger finds what has more memory than a run that ended for want of it, and the same volumes: the smallest such step, by another answer to one option of
// the same profile if there is one, else another profile. It takes the options of that run and returns those for a start, and whether there is anything
// larger that the user may have.
func (s *Set) Larger(u User, srv Server, options json.RawMessage) (json.RawMessage, bool) {
	small, err := s.Resolve(u, srv, options)
	if err != nil || small.Profile == "" {
		return nil, false
	}
	asked, invalid := parseOptions(small.Options)
	if invalid != nil {
		return nil, false
	}
	w := s.known(u, srv)
	open, _ := s.open(w)
	var best Resolved
	for _, p := range sameFirst(open, small.Profile) {
		t := p.table(w)
		start := map[string]string{}
		if p.name == small.Profile {
			start = asked
		}
		for _, try := range t.variations(start) {
			r, err := t.resolve(try)
			if err == nil && memory(r) > memory(small) && sameVolumes(r, small) && (best.Profile == "" || memory(r) < memory(best)) {
				best = r
			}
		}
		if best.Profile == small.Profile {
			break
		}
	}
	return best.Options, best.Profile != ""
}

// sameFirst puts the profile of this name before the others.
func sameFirst(open []*profile, name string) []*profile {
	list := slices.Clone(open)
	slices.SortStableFunc(list, func(a, b *profile) int {
		switch name {
		case a.name:
			return -1
		case b.name:
			return 1
		}
		return 0
	})
	return list
}

// variations are the answers as they are, and with one of them changed.
func (t *table) variations(start map[string]string) []map[string]string {
	all := []map[string]string{start}
	vary := func(name, value string) {
		changed := maps.Clone(start)
		changed[name] = value
		all = append(all, changed)
	}
	for _, o := range t.offers {
		if !o.allowed {
			continue
		}
		switch o.field.Kind {
		case FieldChoice:
			for _, c := range o.field.Choices {
				vary(o.field.Name, c.Name)
			}
		case FieldNumber:
			for _, n := range o.steps(start[o.field.Name]) {
				vary(o.field.Name, formatNumber(n))
			}
		case FieldBool, FieldText:
		}
	}
	return all
}

// steps are numbers above what was said: twice as much, and all that there is.
func (o *offer) steps(said string) []float64 {
	n, err := strconv.ParseFloat(said, 64)
	if err != nil {
		n, _ = strconv.ParseFloat(o.field.Default, 64)
	}
	steps := []float64{o.field.Max}
	if 2*n < o.field.Max && n > 0 {
		steps = append(steps, 2*n)
	}
	return steps
}

// memory is what a run may use at most, in MiB.
func memory(r Resolved) int64 { return max(r.Resources.MemoryMaxMB, r.Resources.MemoryMB) }

// sameVolumes tells whether two runs see the same files in the same places.
func sameVolumes(a, b Resolved) bool {
	return slices.EqualFunc(a.Volumes, b.Volumes, func(x, y Claim) bool {
		return x.Name == y.Name && x.Share == y.Share && x.Group == y.Group && x.Existing == y.Existing && x.Mount.Kind == y.Mount.Kind && x.Mount.Path == y.Mount.Path
	})
}
