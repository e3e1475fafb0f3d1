package hub

import (
	"context"
	"time"
)

// UserCount says how many users there are.
type UserCount struct {
	Total  int
	Active []int // since each of the times that were asked for
}

// CensusStore counts users.
type CensusStore interface {
	// CountUsers counts all, and those who were active since each of the times, in one look at the table.
	CountUsers(ctx context.Context, since ...time.Time) (UserCount, error)
}

const (
	censusInterval = time.Minute // of counting users
	activeInterval = time.Hour   // of counting who was active, as in JupyterHub
)

// takeCensus counts users for the metrics, at one replica, so that sums over all are right. Who scrapes asks nothing of the database.
func (h *Hub) takeCensus(ctx context.Context) error {
	defer h.metrics.counted(UserCount{Active: make([]int, len(activePeriods))})
	tick := time.NewTicker(censusInterval)
	defer tick.Stop()
	var counted time.Time // when active users were
	for {
		now := h.now()
		var since []time.Time
		if now.Sub(counted) >= activeInterval {
			for _, p := range activePeriods {
				since = append(since, now.Add(-p.length))
			}
		}
		count, err := h.store.CountUsers(ctx, since...)
		switch {
		case err == nil:
			h.metrics.counted(count)
			if since != nil {
				counted = now
			}
		case ctx.Err() == nil:
			h.log.WarnContext(ctx, "users not counted for the metrics, will be in a minute", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (m metrics) counted(c UserCount) {
	m.users.Set(float64(c.Total))
	for i, n := range c.Active {
		m.active.WithLabelValues(activePeriods[i].name).Set(float64(n))
	}
}
