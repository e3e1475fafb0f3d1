package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/nomadhub/nomadhub/hub"
)

const (
	// largeGroup asks for servers first, all of its members at once; smallGroup asks while most of them wait.
	largeGroup = 400
	smallGroup = 40
	// fairStarts is how many starts may be under way meanwhile.
	fairStarts = 4
)

// fairness has a large group ask for servers, then a small one, and returns how many of the large one were let through after the small one had asked and before
// all of its members were. In the order of asking it would be all who waited.
func fairness(ctx context.Context, dir string) (ahead int, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	f, err := newFakeHub(ctx, dir, 0, func(o *hub.Options) { o.Limits.ConcurrentStarts = fairStarts })
	if err != nil {
		return 0, err
	}
	defer f.close()
	if err := f.askGroup(ctx, "large", largeGroup); err != nil {
		return 0, err
	}
	if err := f.askGroup(ctx, "small", smallGroup); err != nil {
		return 0, err
	}
	if err := awaitState(ctx, f.db, hub.Ready, largeGroup+smallGroup); err != nil {
		return 0, err
	}
	servers, _, err := f.db.Servers(ctx, hub.ServerQuery{States: []hub.ServerState{hub.Ready}})
	if err != nil {
		return 0, err
	}
	return aheadOfSmall(servers), nil
}

// askGroup makes users of a group and asks for a server for each, all at once, as people do who wait for it.
func (f *fakeHub) askGroup(ctx context.Context, group string, members int) error {
	return inParallel(ctx, members, members, func(ctx context.Context, i int) error {
		u := newUser(fmt.Sprintf("%s-%d", group, i), false)
		u.Groups = []string{group}
		if err := f.db.CreateUser(ctx, u); err != nil {
			return err
		}
		_, err := f.hub.Start(ctx, hub.StartRequest{User: u.Name, Queue: true})
		return err
	})
}

// aheadOfSmall counts the starts of the large group that were let through between the last request and the last admission of the small one.
func aheadOfSmall(servers []hub.Server) int {
	var small, large []hub.Server
	for _, s := range servers {
		if s.UserName[:5] == "small" {
			small = append(small, s)
		} else {
			large = append(large, s)
		}
	}
	asked := slices.MaxFunc(small, func(a, b hub.Server) int { return a.Started.Compare(b.Started) }).Started
	through := slices.MaxFunc(small, func(a, b hub.Server) int { return a.Admitted.Compare(b.Admitted) }).Admitted
	n := 0
	for _, s := range large {
		if s.Admitted.After(asked) && s.Admitted.Before(through) {
			n++
		}
	}
	return n
}
