package store

import (
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
		return of.Into[:0], nil
	}
	owners, a := s.ownersIn(of)
	where, a := filterOfServers([]string{owners}, a, states)
	w := glance(len(of.IDs))
	if len(of.IDs) == 1 { // nearly always they are none or one, too
		w = lookup
	}
	var row outlineRow
	servers, err := few(ctx, s, w, of.Into, "list servers of users", "SELECT "+s.db.row(outlineColumns)+" FROM servers s "+where, a, each(row.fields(), row.read))
	inOrder(servers)
	return servers, err
}

// inOrder sorts by the owners and then by the servers. An index has them like that, nearly always: to have the database sort them costs a fifth of reading them, and to
// compare large values that are in order already is not for nothing either.
func inOrder(servers []hub.ServerOutline) {
	for i := 1; i < len(servers); i++ {
		if byOwner(&servers[i-1], &servers[i]) > 0 {
			slices.SortFunc(servers, func(a, b hub.ServerOutline) int { return byOwner(&a, &b) })
			return
		}
	}
}

func byOwner(a, b *hub.ServerOutline) int {
	if c := strings.Compare(a.UserID, b.UserID); c != 0 {
		return c
	}
	return strings.Compare(a.ID, b.ID)
}
