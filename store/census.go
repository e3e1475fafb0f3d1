package store

import (
	"context"
	"fmt"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

// CountUsers implements [hub.CensusStore].
func (s *Store) CountUsers(ctx context.Context, since ...time.Time) (hub.UserCount, error) {
	c := hub.UserCount{Active: make([]int, len(since))}
	columns, a, dest := "count(*)", args{}, []any{&c.Total}
	for i, t := range since {
		a = append(a, t.UnixMicro())
		columns += fmt.Sprintf(", count(CASE WHEN last_activity >= $%d THEN 1 END)", i+1)
		dest = append(dest, &c.Active[i])
	}
	return c, s.one(ctx, "count users", "SELECT "+columns+" FROM users", a, dest...)
}
