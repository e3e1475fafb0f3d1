package store

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nomadhub/nomadhub/hub"
)

// outlineColumns are few, since each value of a row that a list reads costs as much as all that is then done with it.
const outlineColumns = "s.id, s.user_id, s.name, s.display_name, s.state, s.generation, s.started, s.last_activity, s.last_used, s.keep_until, s.options, s.instance, s.address, s.failure, s.notice"

// ServerOutlines implements [hub.ServerStore].
func (s *Store) ServerOutlines(ctx context.Context, of hub.Owners, states []hub.ServerState) ([]hub.ServerOutline, error) {
	if len(of.IDs) == 0 {
		return nil, nil
	}
	owners, a := s.ownersIn(of)
	where, a := filterOfServers([]string{owners}, a, states)
	return all(ctx, s, "list servers of users", "SELECT "+outlineColumns+" FROM servers s "+where+" ORDER BY s.user_id, s.id", a,
		func(scan scanner) (v hub.ServerOutline, err error) {
			var options, failure, notice string
			err = scan(&v.ID, &v.UserID, &v.Name, &v.DisplayName, (*string)(&v.State), &v.Generation,
				timeOf{&v.Started}, timeOf{&v.LastActivity}, timeOf{&v.LastUsed}, timeOf{&v.KeepUntil},
				textOf{&options}, &v.Instance, &v.Address, textOf{&failure}, textOf{&notice})
			if err != nil {
				return v, err
			}
			if options != "" {
				v.Options = json.RawMessage(options)
			}
			return v, errors.Join(readNote(failure, &v.Failure, v.ID), readNote(notice, &v.Notice, v.ID))
		})
}
