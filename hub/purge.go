package hub

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

const purgeInterval = time.Hour

// keepHouse is what one replica does about rows in general, under one lease.
func (h *Hub) keepHouse(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.purgeExpired(gctx) })
	g.Go(func() error { return h.takeCensus(gctx) })
	return g.Wait()
}

// purgeExpired removes what has expired: sessions, tokens and codes. Nothing depends on it, since every reader looks at the clock.
func (h *Hub) purgeExpired(ctx context.Context) error {
	tick := time.NewTicker(purgeInterval)
	defer tick.Stop()
	for {
		now := h.now()
		sessions, err1 := h.store.DeleteSessionsBefore(ctx, now)
		tokens, err2 := h.store.DeleteTokensBefore(ctx, now)
		codes, err3 := h.store.DeleteCodesBefore(ctx, now)
		shares, err4 := h.store.DeleteShareCodesBefore(ctx, now)
		err5 := h.forgetAudit(ctx, now)
		if err := errors.Join(err1, err2, err3, err4, err5); err != nil && ctx.Err() == nil {
			h.log.WarnContext(ctx, "expired rows not removed, will be in an hour", "err", err)
		} else if sessions+tokens+codes+shares > 0 {
			h.log.InfoContext(ctx, "expired rows removed", "sessions", sessions, "tokens", tokens, "codes", codes, "share_codes", shares)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
