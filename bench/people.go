package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// visited are how many people come to their own servers in O8, again and again.
const visited = 64

// largest is the most users with which there is a measurement.
func (r *run) largest() int { return slices.Max(r.sizes) }

// personKey is where logins (O7) and visits (O8) go.
func personKey(operation, name, unit string, users int, database string) key {
	return key{Operation: operation, Name: name, Size: users, Database: database, Unit: unit}
}

// reportPerson records what came of one operation in a round.
func (r *run) reportPerson(operation, name string, s subject, in round, x answered) {
	r.add(personKey(operation, name+"_cpu", "ms", s.users, s.database), s.whose, in, x.cpu)
	r.add(personKey(operation, name+"_rate", "1/s", s.users, s.database), s.whose, in, x.rate)
	r.add(personKey(operation, name+"_p99", "ms", s.users, s.database), s.whose, in, x.p99)
}

// newcomers are how many people log in for the first time in each round of O7: that makes them known to our hub, which takes more. Then they log in again and again.
const newcomers = 1000

// logins is O7: a look at the login form, and the form with name and password, until the answer that sets the cookie; another user each time. JupyterHub has a row for each
// user all along, and yet a first login takes it longer, too, as it has to read that row.
func (r *run) logins(ctx context.Context) error { return r.withPeople(ctx, "login", r.login) }

// visits is O8: authorize, exchange of the code, and the question whose the token is, for the own server of somebody who is logged in.
func (r *run) visits(ctx context.Context) error { return r.withPeople(ctx, "oauth", r.visit) }

// withPeople opens whole hubs with the most users, ours and the stock one, on each database.
func (r *run) withPeople(ctx context.Context, name string, do func(ctx context.Context, hubs []subject) error) error {
	return r.withDatabases(ctx, func(ctx context.Context, kinds []databaseKind) error {
		hubs, err := r.openSubjects(ctx, name, kinds, r.largest(), true)
		defer func() { closeSubjects(hubs) }()
		if err != nil {
			return err
		}
		return do(ctx, hubs)
	})
}

// login logs different users in at each hub for a while in each round.
func (r *run) login(ctx context.Context, hubs []subject) error {
	sites := make([]site, len(hubs))
	for i, s := range hubs {
		sites[i] = newSite(s.public, s.url)
		defer sites[i].client.CloseIdleConnections()
	}
	people := max(1, min(newcomers, hubs[0].users/r.rounds))
	return r.eachRound(ctx, hubs, "O7", func(ctx context.Context, number, i int) (cameOf, error) {
		pid := hubs[i].process().pid()
		login := func(ctx context.Context, n int) error {
			_, err := sites[i].login(ctx, userName(number*people+n%people))
			return err
		}
		first, err := asLong(ctx, pid, func(n int, _ time.Duration) bool { return n < people }, login)
		if err != nil {
			return nil, err
		}
		later, err := again(ctx, pid, r.asks, login)
		return cameOf{"first_login": first, "login": later}, err
	})
}

// visit has people who are logged in come to their servers, which run, for a while in each round.
func (r *run) visit(ctx context.Context, hubs []subject) error {
	guests := make([][]guest, len(hubs))
	err := inTurn(ctx, hubs, func(ctx context.Context, i int) (err error) {
		guests[i], err = hubs[i].invite(ctx, min(visited, hubs[i].users))
		return err
	})
	for _, some := range guests {
		if len(some) > 0 {
			defer some[0].client.CloseIdleConnections()
		}
	}
	if err != nil {
		return err
	}
	return r.eachRound(ctx, hubs, "O8", func(ctx context.Context, _, i int) (cameOf, error) {
		came, err := again(ctx, hubs[i].process().pid(), r.asks, func(ctx context.Context, n int) error {
			g := guests[i][n%len(guests[i])]
			v := *g.visitor // a browser of theirs for each visit, as it may be the same person twice
			v.cookies = maps.Clone(v.cookies)
			return v.enter(ctx, g.secret)
		})
		return cameOf{"visit": came}, err
	})
}

// eachRound does something at each hub in turn, in each round, and records what came of it. do is told which round it is, and which hub.
func (r *run) eachRound(ctx context.Context, hubs []subject, operation string, do func(ctx context.Context, number, i int) (cameOf, error)) error {
	return r.repeat(ctx, func(ctx context.Context, number int) (func(round), error) {
		came := make([]cameOf, len(hubs))
		err := inTurn(ctx, hubs, func(ctx context.Context, i int) (err error) {
			came[i], err = do(ctx, number, i)
			return err
		})
		return func(in round) {
			for i, s := range hubs {
				for name, x := range came[i] {
					r.reportPerson(operation, name, s, in, x)
				}
			}
		}, err
	})
}

// guest is somebody who is logged in, and has a server that runs.
type guest struct {
	*visitor
	secret string // the server's
}

// invite starts the servers of the first users, and logs these in.
func (s subject) invite(ctx context.Context, n int) ([]guest, error) {
	if err := s.startFirst(ctx, n); err != nil {
		return nil, err
	}
	at, all := newSite(s.public, s.url), make([]guest, n)
	for i := range all {
		v, err := at.login(ctx, userName(i))
		if err != nil {
			return nil, err
		}
		secret, err := s.secretOf(ctx, userName(i))
		if err != nil {
			return nil, fmt.Errorf("the secret of the server of %s: %w", userName(i), err)
		}
		all[i] = guest{v, secret}
	}
	return all, nil
}

// secretsFile is where the stock hub's spawner says what secrets servers got.
const secretsFile = "secrets"

// secretOf is the secret of a user's server, the last one.
func (h *stockHub) secretOf(_ context.Context, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(h.dir, secretsFile))
	if err != nil {
		return "", err
	}
	found := ""
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if user, secret, ok := bytes.Cut(s.Bytes(), []byte(" ")); ok && string(user) == name {
			found = string(secret)
		}
	}
	if found == "" {
		return "", fs.ErrNotExist
	}
	return found, nil
}
