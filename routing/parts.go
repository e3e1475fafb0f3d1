package routing

import (
	"context"
	"iter"
)

// Part is one part of a snapshot: all routes that the source has in it now.
type Part struct {
	Number int
	Routes []Route
}

// PartedSource is a [Source] that can yield its snapshots in parts, so that a change costs what its own part is large, and not what the
// whole is.
type PartedSource interface {
	Source
	// Parts yields a whole snapshot first: a part that is not in it is empty. What follows has the parts that changed since, each of
	// them whole. For errors the same holds as for Routes, with parts in the place of routes. A part's routes are not changed once yielded.
	Parts(ctx context.Context) iter.Seq2[[]Part, error]
}

// Whole makes of what Parts yields what Routes has to yield.
func Whole(snapshots iter.Seq2[[]Part, error]) iter.Seq2[[]Route, error] {
	return func(yield func([]Route, error) bool) {
		known := make(map[int][]Route)
		for parts, err := range snapshots {
			var routes []Route
			if parts != nil || err == nil {
				for _, p := range parts {
					known[p.Number] = p.Routes
				}
				routes = []Route{}
				for _, part := range known {
					routes = append(routes, part...)
				}
			}
			if !yield(routes, err) {
				return
			}
		}
	}
}
