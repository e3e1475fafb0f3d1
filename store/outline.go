package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/nomadhub/nomadhub/hub"
)

// outlineColumns are few, since each value of a row that a list reads costs as much as all that is then done with it.
var outlineColumns = columnsOf("s.user_id", "s.id", "s.name", "s.display_name", "s.state", "s.generation", "s.started", "s.last_activity", "s.last_used", "s.keep_until",
	"s.options", "s.instance", "s.address", "s.failure", "s.notice")

// outlineRow is one of many rows, into which each is read after the other.
type outlineRow struct {
	hub.ServerOutline

	options, failure, notice string
}

func (r *outlineRow) fields() []any {
	v := &r.ServerOutline
	return []any{
		partOf{&v.UserID}, partOf{&v.ID}, partOf{&v.Name}, partOf{&v.DisplayName}, partOf{(*string)(&v.State)}, &v.Generation,
		timeOf{&v.Started}, timeOf{&v.LastActivity}, timeOf{&v.LastUsed}, timeOf{&v.KeepUntil},
		partOf{&r.options}, partOf{&v.Instance}, partOf{&v.Address}, partOf{&r.failure}, partOf{&r.notice},
	}
}

// read returns what fields were read into.
func (r *outlineRow) read() (hub.ServerOutline, error) {
	v := r.ServerOutline
	if r.options != "" {
		v.Options = json.RawMessage(r.options)
	}
	return v, errors.Join(readNote(r.failure, &v.Failure, v.ID), readNote(r.notice, &v.Notice, v.ID))
}

// ServerOutlines implements [hub.ServerStore].
func (s *Store) ServerOutlines(ctx context.Context, of hub.Owners, states []hub.ServerState) ([]hub.ServerOutline, error) {
	if len(of.IDs) == 0 {
		return nil, nil
	}
	owners, a := s.ownersIn(of)
	where, a := filterOfServers([]string{owners}, a, states)
	var row outlineRow
	servers, err := few(ctx, s, glance(len(of.IDs)), "list servers of users", "SELECT "+s.db.row(outlineColumns)+" FROM servers s "+where, a, each(row.fields(), row.read))
	// An index has them by their owners. To have the database put them in order costs a fifth of reading them.
	slices.SortFunc(servers, func(a, b hub.ServerOutline) int {
		return cmp.Or(strings.Compare(a.UserID, b.UserID), strings.Compare(a.ID, b.ID))
	})
	return servers, err
}
