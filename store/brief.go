package store

import (
	"context"

	"github.com/nomadhub/nomadhub/hub"
)

// ServerBriefs implements [hub.ServerStore].
func (s *Store) ServerBriefs(ctx context.Context, states []hub.ServerState) ([]hub.ServerBrief, error) {
	where, a := s.serverFilter(hub.ServerQuery{States: states})
	return all(ctx, s, "list servers in brief", "SELECT s.id, s.state, s.generation, s.instance, s.notice FROM servers s "+where, a,
		func(scan scanner) (v hub.ServerBrief, err error) {
			var notice string
			if err := scan(&v.ID, (*string)(&v.State), &v.Generation, &v.Instance, textOf{&notice}); err != nil {
				return v, err
			}
			return v, readNote(notice, &v.Notice, v.ID)
		})
}
