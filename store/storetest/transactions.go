package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

var errChangedMyMind = errors.New("changed my mind")

func transactions() []test {
	return []test{
		{"All of it is kept", func(f fixture) {
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				u := hub.User{ID: newID(), Name: "ada", Groups: []string{"g"}}
				if err := tx.CreateUser(f.ctx, u); err != nil {
					return err
				}
				if _, err := tx.UserByName(f.ctx, "ada"); err != nil {
					f.Errorf("a transaction does not see what it wrote: %v", err)
				}
				return tx.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: u.ID, State: hub.Stopped})
			}))
			u, err := f.store.UserByName(f.ctx, "ada")
			f.must(err)
			_, err = f.store.ServerByName(f.ctx, u.ID, "")
			f.must(err)
		}},
		{"None of it is kept if it fails, and the error comes through", func(f fixture) {
			f.wants(f.store.InTx(f.ctx, func(tx hub.Store) error {
				if err := tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada"}); err != nil {
					return err
				}
				return errChangedMyMind
			}), errChangedMyMind)
			_, err := f.store.UserByName(f.ctx, "ada")
			f.wants(err, hub.ErrNotFound)
		}},
		{"None of it is kept if it panics", func(f fixture) {
			func() {
				defer func() { _ = recover() }()
				_ = f.store.InTx(f.ctx, func(tx hub.Store) error {
					_ = tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada"})
					panic("boom")
				})
			}()
			_, err := f.store.UserByName(f.ctx, "ada")
			f.wants(err, hub.ErrNotFound)
			f.user("bob") // the store still works
		}},
		{"Others do not see it before its end", func(f fixture) {
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				if err := tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada"}); err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(f.ctx, time.Second)
				defer cancel()
				if _, err := f.store.UserByName(ctx, "ada"); !errors.Is(err, hub.ErrNotFound) && hub.KindOf(err) != hub.Unavailable {
					f.Errorf("outside, the user is found: %v", err)
				}
				return nil
			}))
		}},
		{"A key that is taken does not spoil the rest", func(f fixture) {
			ada := f.user("ada")
			taken := f.server(ada, "taken", hub.Stopped)
			other := f.server(ada, "other", hub.Stopped)
			bob := f.user("bob")
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				f.wants(tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "ada"}), hub.ErrExists)
				renamed := bob
				renamed.Name = "ada"
				f.wants(tx.UpdateUser(f.ctx, renamed), hub.ErrExists)
				other.Name = taken.Name
				_, err := tx.UpdateServer(f.ctx, other)
				f.wants(err, hub.ErrExists)
				f.wants(tx.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, Name: "taken"}), hub.ErrExists)
				return tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "eve"})
			}))
			_, err := f.store.UserByName(f.ctx, "eve")
			f.must(err)
		}},
		{"A part of it is undone by itself", func(f fixture) {
			f.must(f.store.InTx(f.ctx, func(tx hub.Store) error {
				f.must(tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "kept"}))
				f.wants(tx.InTx(f.ctx, func(part hub.Store) error {
					f.must(part.CreateUser(f.ctx, hub.User{ID: newID(), Name: "undone"}))
					f.must(part.InTx(f.ctx, func(inner hub.Store) error {
						return inner.CreateUser(f.ctx, hub.User{ID: newID(), Name: "undone too"})
					}))
					return errChangedMyMind
				}), errChangedMyMind)
				return tx.CreateUser(f.ctx, hub.User{ID: newID(), Name: "kept too"})
			}))
			f.finds(hub.UserQuery{Sort: hub.SortByName}, "kept", "kept too")
		}},
		{"A stale server inside a transaction is told", func(f fixture) {
			s := f.server(f.user("ada"), "", hub.Stopped)
			_, err := f.store.UpdateServer(f.ctx, s)
			f.must(err)
			f.wants(f.store.InTx(f.ctx, func(tx hub.Store) error {
				_, err := tx.UpdateServer(f.ctx, s)
				return err
			}), hub.ErrStale)
		}},
		{"Limits that are checked in it hold, however many try at once", limitHolds},
		{"It ends with its context", func(f fixture) {
			ctx, cancel := context.WithCancel(f.ctx)
			err := f.store.InTx(ctx, func(tx hub.Store) error {
				f.must(tx.CreateUser(ctx, hub.User{ID: newID(), Name: "ada"}))
				cancel()
				return tx.CreateUser(ctx, hub.User{ID: newID(), Name: "bob"})
			})
			f.wants(err, context.Canceled)
			f.finds(hub.UserQuery{})
		}},
	}
}

// limitHolds lets many transactions count what is there and add one if there are fewer than three. That they do not see what
// the others are about to write must not let a fourth in: the loser runs again.
func limitHolds(f fixture) {
	ada := f.user("ada")
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			err := f.store.InTx(f.ctx, func(tx hub.Store) error {
				_, total, err := tx.Servers(f.ctx, hub.ServerQuery{UserIDs: []string{ada.ID}})
				if err != nil || total >= 3 {
					return err
				}
				return tx.CreateServer(f.ctx, hub.Server{ID: newID(), UserID: ada.ID, Name: strconv.Itoa(i), State: hub.Starting})
			})
			if err != nil {
				f.Error(err)
			}
		})
	}
	wg.Wait()
	_, total, err := f.store.Servers(f.ctx, hub.ServerQuery{})
	f.must(err)
	f.same("how many servers there are", total, 3)
}
