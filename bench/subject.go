package main

import "context"

// subject is a hub, ours or the stock one, that is measured in turn with others.
type subject struct {
	underTest
	whose    string // ours, or a peer
	database string
	users    int
	public   string // URL of what browsers ask
	url      string // at which servers ask its API
	token    string // of an administrator
}

func (s subject) String() string { return s.whose + " on " + s.database }

// underTest is what can be done with each of them.
type underTest interface {
	// process is the one that is measured. It may be another one after runAll.
	process() *child
	// runAll has a server run for each of its users, however they come to it.
	runAll(ctx context.Context, users int) error
	// startFirst starts the servers of the first users through the API, so that each has a secret.
	startFirst(ctx context.Context, n int) error
	// secretOf is the secret of a user's server: with it the server is a client of OAuth.
	secretOf(ctx context.Context, user string) (string, error)
	// countWrites opens the counter of its database.
	countWrites(ctx context.Context) (writeCounter, error)
	close()
}

var (
	_ underTest = (*fakeChild)(nil)
	_ underTest = (*stockHub)(nil)
)

// openSubjects opens ours on each kind of database and, where it is on this machine and wanted with so many users, the stock hub beside each. Several are held from then on,
// until it is the turn of each. What was opened is returned also with an error, and is to be closed.
func (r *run) openSubjects(ctx context.Context, name string, kinds []databaseKind, users int, whole bool) (hubs []subject, err error) {
	openers := []func(context.Context, string, databaseKind, int) (subject, error){
		func(ctx context.Context, name string, kind databaseKind, users int) (subject, error) {
			return r.openOurs(ctx, name, kind, users, whole)
		},
	}
	if r.hasStock(ctx, users) {
		openers = append(openers, r.openStock)
	}
	for _, kind := range kinds {
		for _, open := range openers { // side by side, since these two are compared
			s, err := open(ctx, name, kind, users)
			if s.underTest != nil {
				hubs = append(hubs, s)
			}
			if err != nil {
				return hubs, err
			}
			if len(kinds)*len(openers) == 1 {
				continue
			}
			if err := s.process().hold(); err != nil {
				return hubs, err
			}
		}
	}
	return hubs, nil
}

func closeSubjects(hubs []subject) {
	for _, s := range hubs {
		s.close()
	}
}
