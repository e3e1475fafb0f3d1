package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
func (r *run) reportPerson(operation, name, whose string, users int, database string, in round, x answered) {
	r.add(personKey(operation, name+"_cpu", "ms", users, database), whose, in, x.cpu)
	r.add(personKey(operation, name+"_rate", "1/s", users, database), whose, in, x.rate)
	r.add(personKey(operation, name+"_p99", "ms", users, database), whose, in, x.p99)
}

// logins is O7: a look at the login form, and the form with name and password, until the answer that sets the cookie; another user each time.
func (r *run) logins(ctx context.Context) error {
	return r.withPeople(ctx, "login", func(ctx context.Context, f *fakeChild, database string, users int) error {
		return r.login(ctx, ours, newSite(f.Public, f.URL), f.pid(), users, database)
	})
}

// visits is O8: authorize, exchange of the code, and the question whose the token is, for the own server of somebody who is logged in.
func (r *run) visits(ctx context.Context) error {
	return r.withPeople(ctx, "oauth", func(ctx context.Context, f *fakeChild, database string, users int) error {
		if err := f.fill(ctx, 0, min(visited, users)); err != nil {
			return err
		}
		secret := func(ctx context.Context, name string) (string, error) {
			text, err := read(ctx, http.DefaultClient, f.Secrets+"/?user="+url.QueryEscape(name))
			return string(text), err
		}
		return r.visit(ctx, ours, newSite(f.Public, f.URL), f.pid(), users, database, secret)
	})
}

// withPeople opens a whole hub with the most users on each database.
func (r *run) withPeople(ctx context.Context, name string, do func(ctx context.Context, f *fakeChild, database string, users int) error) error {
	return r.eachDatabase(ctx, func(ctx context.Context, database string, fresh freshDatabase) error {
		dir, err := r.folder(name + "-" + database)
		if err != nil {
			return err
		}
		dsn, err := fresh(ctx)
		if err != nil {
			return err
		}
		f, err := r.spawnFake(ctx, fakeOptions{dir: dir, dsn: dsn, users: r.largest(), port: 8888, whole: true})
		if err != nil {
			return err
		}
		defer f.stop()
		return do(ctx, f, database, r.largest())
	})
}

// login logs different users in for a while in each round.
func (r *run) login(ctx context.Context, whose string, at site, pid, users int, database string) error {
	defer at.client.CloseIdleConnections()
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		x, err := again(ctx, pid, r.asks, func(ctx context.Context, n int) error {
			_, err := at.login(ctx, userName(n%users))
			return err
		})
		return func(in round) { r.reportPerson("O7", "login", whose, users, database, in, x) }, err
	})
}

// visit has people who are logged in come to their servers, which run, for a while in each round.
func (r *run) visit(ctx context.Context, whose string, at site, pid, users int, database string, secret func(ctx context.Context, name string) (string, error)) error {
	defer at.client.CloseIdleConnections()
	people := make([]*visitor, min(visited, users))
	secrets := make([]string, len(people))
	for i := range people {
		var err error
		if people[i], err = at.login(ctx, userName(i)); err != nil {
			return err
		}
		if secrets[i], err = secret(ctx, userName(i)); err != nil {
			return fmt.Errorf("the secret of the server of %s: %w", userName(i), err)
		}
	}
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		x, err := again(ctx, pid, r.asks, func(ctx context.Context, n int) error {
			v := *people[n%len(people)] // a browser of theirs for each visit, as it may be the same person twice
			v.cookies = maps.Clone(v.cookies)
			return v.enter(ctx, secrets[n%len(people)])
		})
		return func(in round) { r.reportPerson("O8", "visit", whose, users, database, in, x) }, err
	})
}

// people are O7 and O8 of the stock hub, with nothing that runs but the servers that are visited.
func (f *stockField) people(ctx context.Context) error {
	if f.size != f.largest() {
		return nil
	}
	at, r := newSite(f.url, f.url), f.times(stockRounds)
	if f.compares("login") {
		if err := r.login(ctx, stock, at, f.pid(), f.size, "sqlite"); err != nil {
			return err
		}
	}
	if !f.compares("oauth") {
		return nil
	}
	asks := newStarter(f.url, f.token)
	n := min(visited, f.size)
	if _, _, err := f.burst(ctx, asks, http.MethodPost, n); err != nil {
		return err
	}
	if err := r.visit(ctx, stock, at, f.pid(), f.size, "sqlite", f.secretOf); err != nil {
		return err
	}
	_, _, err := f.burst(ctx, asks, http.MethodDelete, n)
	return err
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
