package hub

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// Listing is a page of users with their servers as lists show them. Its memory is used again for other pages: it would be most of the garbage that an answer leaves.
type Listing struct {
	Users []User
	Total int // how many there are on all pages; 0 where that was not asked for

	servers []ServerOutline // by their owners
	next    int             // where those of the owner end who was asked for last
}

var spareListings = sync.Pool{New: func() any { return new(Listing) }}

// NewListing returns an empty one. Who is done with it says so.
func NewListing() *Listing {
	l, _ := spareListings.Get().(*Listing)
	return l
}

// Done gives the memory back. Neither the lists nor what ServersOf returned may be used afterwards.
func (l *Listing) Done() {
	clear(l.Users)
	clear(l.servers)
	*l = Listing{Users: l.Users[:0], servers: l.servers[:0]}
	spareListings.Put(l)
}

// ListUsers reads the users of a page. They take the place of those that are in the listing.
func (h *Hub) ListUsers(ctx context.Context, l *Listing, q UserQuery) (err error) {
	q.Into = l.Users
	l.Users, l.Total, err = h.Users(ctx, q)
	return err
}

// ListServers reads the servers of the users in the listing; those that do not run only with stopped. For adjacent, see [Owners].
func (h *Hub) ListServers(ctx context.Context, l *Listing, adjacent, stopped bool) (err error) {
	of := Owners{IDs: make([]string, len(l.Users)), Adjacent: adjacent, Into: l.servers}
	for i := range l.Users {
		of.IDs[i] = l.Users[i].ID
	}
	l.next = 0
	if l.servers, err = h.store.ServerOutlines(ctx, of, shownStates(stopped)); err == nil {
		h.activity.showOutlines(l.servers)
	}
	return err
}

// ServersOf returns those of one user, as far as they were read; a nil listing has none. It takes no longer the more others there are if users are asked for in the
// order of their IDs.
func (l *Listing) ServersOf(userID string) []ServerOutline {
	if l == nil || len(l.servers) == 0 {
		return nil
	}
	from := l.next
	if from == len(l.servers) || l.servers[from].UserID != userID {
		from, _ = slices.BinarySearchFunc(l.servers, userID, func(s ServerOutline, id string) int { return strings.Compare(s.UserID, id) })
	}
	l.next = from
	for l.next < len(l.servers) && l.servers[l.next].UserID == userID {
		l.next++
	}
	return l.servers[from:l.next]
}
