package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
	"github.com/nomadhub/nomadhub/store"
)

// question is a request that is repeated.
type question struct {
	operation, name string
	method, path    string // below the API's root; %s is another user's name each time
	body            string
	running         bool // asked while servers run too
}

// farOffset is the share of all users that come before a page far from the first.
const farOffset = 0.9

// questions are those of O9 to O11 for so many users.
func questions(users int) []question {
	const page = "/users?limit=200"
	return []question{
		{operation: "O9", name: "root", method: http.MethodGet, path: "/"},
		{operation: "O9", name: "token_check", method: http.MethodGet, path: "/user", running: true},
		{operation: "O9", name: "one_user", method: http.MethodGet, path: "/users/%s", running: true},
		{operation: "O10", name: "page_of_200", method: http.MethodGet, path: page, running: true},
		{operation: "O10", name: "page_of_200_far", method: http.MethodGet, path: page + "&offset=" + strconv.Itoa(int(farOffset*float64(users))), running: true},
		{operation: "O10", name: "page_of_50", method: http.MethodGet, path: "/users?limit=50"},
		{operation: "O10", name: "ready", method: http.MethodGet, path: page + "&state=ready", running: true},
		{operation: "O10", name: "name_filter", method: http.MethodGet, path: page + "&name_filter=" + userName(users / 2)[:9], running: true},
		{operation: "O11", name: "activity", method: http.MethodPost, path: "/users/%s/activity", body: `{"last_activity": "` + time.Now().UTC().Format(time.RFC3339) + `"}`, running: true},
	}
}

// Whoever asks are so many at once, each again as soon as it has its answer.
const (
	askers  = 8
	asksFor = 4 * time.Second
)

// answered is what came of a question that was repeated.
type answered struct {
	cpu  float64 // milliseconds of the hub's for each
	rate float64 // a second
	p99  float64 // milliseconds
}

// asked is a hub that questions are put to.
type asked struct {
	base, token string
	pid         int
	client      *http.Client
}

func newAsked(base, token string, pid int) asked {
	return asked{base, token, pid, &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: askers, DisableCompression: true}}}
}

// repeat puts one question again and again.
func (a asked) repeat(ctx context.Context, q question, users int) (x answered, err error) {
	if err := a.ask(ctx, q, 0); err != nil { // connections, statements and caches are there
		return x, err
	}
	before, err := cpuTime(a.pid)
	if err != nil {
		return x, err
	}
	var (
		next  atomic.Int64
		mu    sync.Mutex
		took  []float64
		errs  []error
		work  sync.WaitGroup
		began = time.Now()
	)
	for range askers {
		work.Go(func() {
			var mine []float64
			var err error
			for err == nil && ctx.Err() == nil && time.Since(began) < asksFor {
				asked := time.Now()
				err = a.ask(ctx, q, int(next.Add(1))%users)
				mine = append(mine, since(asked))
			}
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, mine...), append(errs, err)
		})
	}
	work.Wait()
	all := time.Since(began).Seconds()
	after, err := cpuTime(a.pid)
	if err = errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return x, err
	}
	n := float64(len(took))
	return answered{cpu: milliseconds(after-before) / n, rate: n / all, p99: percentile(took, 0.99)}, nil
}

func (a asked) ask(ctx context.Context, q question, user int) error {
	path := q.path
	if strings.Contains(path, "%s") {
		path = fmt.Sprintf(path, userName(user))
	}
	req, err := http.NewRequestWithContext(ctx, q.method, a.base+path, strings.NewReader(q.body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+a.token)
	res, err := a.client.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %s", q.method, path, res.Status, text)
	}
	return err
}

// apiKey is where an answer goes; running tells that every user has a server.
func apiKey(q question, what, unit string, users int, running bool) key {
	name := q.name
	if running {
		name += "_running"
	}
	return key{Operation: q.operation, Name: name + "_" + what, Size: users, Database: "sqlite", Unit: unit}
}

// askAll puts all questions, round by round.
func (r *run) askAll(ctx context.Context, whose string, a asked, users int, running bool) error {
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		came := map[string]answered{} // by name
		for _, q := range questions(users) {
			if running && !q.running {
				continue
			}
			x, err := a.repeat(ctx, q, users)
			if err != nil {
				return nil, err
			}
			came[q.name] = x
		}
		return func(in round) {
			var first, far float64
			for _, q := range questions(users) {
				x, there := came[q.name]
				if !there {
					continue
				}
				r.add(apiKey(q, "cpu", "ms", users, running), whose, in, x.cpu)
				r.add(apiKey(q, "rate", "1/s", users, running), whose, in, x.rate)
				r.add(apiKey(q, "p99", "ms", users, running), whose, in, x.p99)
				switch q.name {
				case "page_of_200":
					first = x.cpu
				case "page_of_200_far":
					far = x.cpu
				}
			}
			r.add(apiKey(question{operation: "O10", name: "far_by_first"}, "cpu", "times", users, running), whose, in, far/first)
		}, nil
	})
}

// apiRounds are fewer than the others: each puts every question for seconds.
const apiRounds = 3

// api is O9 to O11: the hub's core, its API and its database, with as many users and then with a server for each, on a scheduler that takes no time.
func (r *run) api(ctx context.Context) error {
	for _, users := range r.sizes {
		if users < 1000 {
			continue
		}
		dir, err := r.folder(fmt.Sprintf("api-%d", users))
		if err != nil {
			return err
		}
		if err := r.times(apiRounds).apiOf(ctx, dir, users); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) apiOf(ctx context.Context, dir string, users int) error {
	p, err := spawn(dir, program{name: "fake", core: coreUnderTest, path: r.self, args: []string{"fake", "-dir", dir, "-users", strconv.Itoa(users)}})
	if err != nil {
		return err
	}
	defer p.stop()
	var at fakeAddress
	err = p.await(ctx, time.Minute, func(context.Context) error {
		text, err := os.ReadFile(p.log)
		return errors.Join(err, json.Unmarshal(text, &at))
	})
	if err != nil {
		return err
	}
	a := newAsked(at.URL+"/hub/api", at.Token, p.pid())
	if err := r.askAll(ctx, ours, a, users, false); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{DSN: "sqlite://" + filepath.Join(dir, "hub.db")})
	if err != nil {
		return err
	}
	defer db.Close()
	waiting, cancel := context.WithTimeout(ctx, burstPatience)
	defer cancel()
	if err := newStarter(at.URL, at.Token).askAll(waiting, http.MethodPost, 0, users); err != nil {
		return err
	}
	if err := awaitState(waiting, db, hub.Ready, users); err != nil {
		return err
	}
	return r.askAll(ctx, ours, a, users, true)
}

// questions puts to the stock hub what is put to ours.
func (f *stockField) questions(ctx context.Context, running bool) error {
	if !f.wants("api") {
		return nil
	}
	return f.times(stockRounds).askAll(ctx, stock, newAsked(f.url+"/hub/api", f.token, f.pid()), f.size, running)
}
