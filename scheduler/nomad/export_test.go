package nomad

import (
	"context"

	"github.com/hashicorp/nomad/api"
)

// What the tests against a real Nomad, which are in a package of their own, use of this one.
var (
	Update        = update
	CompareGolden = compareGolden
	Parse         = parseDefault
	FullWorkload  = fullWorkload
)

func parseDefault(s *Scheduler, ctx context.Context) (*api.Job, error) { //nolint:revive // as a method value
	return s.parse(ctx, (*s.templates.Load())[""])
}
