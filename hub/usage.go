package hub

import (
	"context"
	"iter"
	"time"
)

// MaxUsagePeriod is the longest time over which usage is added up at once.
const MaxUsagePeriod = 5 * 366 * 24 * time.Hour

// usagePage is how many rows are read at once when all are wanted.
const usagePage = 1000

// SumUsage adds up usage in a period. Invalid if there is none.
func (h *Hub) SumUsage(ctx context.Context, q UsageQuery) ([]UsageSum, error) {
	if err := h.checkUsage(&q); err != nil {
		return nil, err
	}
	return h.store.SumUsage(ctx, q)
}

// AllUsage yields the sums of a query one after the other, however many there are.
func (h *Hub) AllUsage(ctx context.Context, q UsageQuery) iter.Seq2[UsageSum, error] {
	return paged(ctx, h, q, h.store.SumUsage)
}

// UsageRuns lists the runs that reach into a period. Invalid if there is none.
func (h *Hub) UsageRuns(ctx context.Context, q UsageQuery) ([]UsageRun, error) {
	if err := h.checkUsage(&q); err != nil {
		return nil, err
	}
	return h.store.UsageRuns(ctx, q)
}

// AllUsageRuns yields the runs of a query one after the other, however many there are.
func (h *Hub) AllUsageRuns(ctx context.Context, q UsageQuery) iter.Seq2[UsageRun, error] {
	return paged(ctx, h, q, h.store.UsageRuns)
}

func (h *Hub) checkUsage(q *UsageQuery) error {
	if q.Now.IsZero() {
		q.Now = h.now()
	}
	switch {
	case !q.From.Before(q.To):
		return Errorf(Invalid, "The period ends before it begins.")
	case q.To.Sub(q.From) > MaxUsagePeriod:
		return Errorf(Invalid, "The period is longer than five years. Choose a shorter one.")
	}
	return nil
}

// paged asks for one page after the other until one is not full.
func paged[T any](ctx context.Context, h *Hub, q UsageQuery, ask func(context.Context, UsageQuery) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := h.checkUsage(&q); err != nil {
			yield(none, err)
			return
		}
		for q.Limit = usagePage; ; q.Offset += usagePage {
			page, err := ask(ctx, q)
			if err != nil {
				yield(none, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
			if len(page) < usagePage {
				return
			}
		}
	}
}
