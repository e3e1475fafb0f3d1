package hub

import (
	"context"
	"time"
)

// CullPass looks at every running server once, as the elected replica does.
func (h *Hub) CullPass(ctx context.Context) error {
	return h.cullPass(ctx, &culler{again: map[string]time.Time{}}, *h.culling.Load())
}

// CompareUsage compares the ledger with what runs once, as the elected replica does.
func (h *Hub) CompareUsage(ctx context.Context) error { return h.compareUsage(ctx) }
