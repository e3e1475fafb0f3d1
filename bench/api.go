package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// question is a request that is repeated.
type question struct {
	operation, name string
	words           string // what is asked for, as people say it
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
		{operation: "O9", name: "root", words: "what the API says of itself", method: http.MethodGet, path: "/"},
		{operation: "O9", name: "token_check", words: "a look at a token", method: http.MethodGet, path: "/user", running: true},
		{operation: "O9", name: "one_user", words: "one user", method: http.MethodGet, path: "/users/%s", running: true},
		{operation: "O10", name: "page_of_200", words: "a page of 200 users", method: http.MethodGet, path: page, running: true},
		{operation: "O10", name: "page_of_200_far", words: "a page of 200 users after nine tenths of all", method: http.MethodGet, path: page + "&offset=" + strconv.Itoa(int(farOffset*float64(users))), running: true},
		{operation: "O10", name: "page_of_50", words: "a page of 50 users", method: http.MethodGet, path: "/users?limit=50"},
		{operation: "O10", name: "ready", words: "users whose servers are ready", method: http.MethodGet, path: page + "&state=ready", running: true},
		{operation: "O10", name: "name_filter", words: "users by a part of their names", method: http.MethodGet, path: page + "&name_filter=" + userName(users / 2)[:9], running: true},
		activity(),
	}
}

// activity is the report that somebody did something just now.
func activity() question {
	return question{
		operation: "O11", name: "activity", words: "a report of activity", method: http.MethodPost, path: "/users/%s/activity", running: true,
		body: `{"last_activity": "` + time.Now().UTC().Format(time.RFC3339) + `"}`,
	}
}

// Whoever asks are so many at once, each again as soon as it has its answer.
const askers = 8

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
	return asked{base, token, pid, &http.Client{Timeout: askPatience, Transport: &http.Transport{MaxIdleConnsPerHost: askers, DisableCompression: true}}}
}

// repeat puts one question again and again.
func (a asked) repeat(ctx context.Context, q question, users int, window time.Duration) (x answered, err error) {
	return again(ctx, a.pid, window, func(ctx context.Context, n int) error { return a.ask(ctx, q, n%users) })
}

// waking is for how long something is done before it is measured. A hub that was held until its turn begins it as one at rest, which has given memory back and collects the
// little that it needs more often; our hub looks every second whether that still fits.
const waking = 1500 * time.Millisecond

// again does something again and again for a while, and tells what each time took of a process, and until it was done. do is told how often it was called before.
func again(ctx context.Context, pid int, window time.Duration, do func(ctx context.Context, n int) error) (x answered, err error) {
	if _, err := asLong(ctx, pid, func(_ int, since time.Duration) bool { return since < min(waking, window) }, do); err != nil {
		return x, err
	}
	return asLong(ctx, pid, func(_ int, since time.Duration) bool { return since < window }, do)
}

// asLong is again as long as goOn says, which is told how often and for how long it was done, before each time but the first: that one is not measured.
func asLong(ctx context.Context, pid int, goOn func(n int, since time.Duration) bool, do func(ctx context.Context, n int) error) (x answered, err error) {
	if err := do(ctx, 0); err != nil { // connections, statements and caches are there
		return x, err
	}
	before, err := cpuTime(pid)
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
			for n := int(next.Add(1)); err == nil && ctx.Err() == nil && goOn(n, time.Since(began)); n = int(next.Add(1)) {
				asked := time.Now()
				err = do(ctx, n)
				mine = append(mine, since(asked))
			}
			mu.Lock()
			defer mu.Unlock()
			took, errs = append(took, mine...), append(errs, err)
		})
	}
	work.Wait()
	all := time.Since(began).Seconds()
	after, err := cpuTime(pid)
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

// examined is a hub whose answers are measured.
type examined struct {
	subject
	asked
	running bool // every user has a server
	counted writeCounter
}

// examine prepares the questions to a hub; its process may be another one than before.
func (s subject) examine(running bool, counted writeCounter) examined {
	return examined{subject: s, asked: newAsked(s.url+"/hub/api", s.token, s.process().pid()), running: running, counted: counted}
}

// key is where an answer goes.
func (e examined) key(operation, name, what, unit string) key {
	if e.running {
		name += "_running"
	}
	return key{Operation: operation, Name: name + "_" + what, Size: e.users, Database: e.database, Unit: unit}
}

// cameOf is what came of each question, by its name.
type cameOf map[string]answered

// askAll puts all questions to all of them, round by round, and each to one after the other before the next question.
func (r *run) askAll(ctx context.Context, all []examined) error {
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		came, transactions := make([]cameOf, len(all)), make([]float64, len(all))
		for i := range all {
			came[i] = cameOf{}
		}
		for _, q := range all[0].questions() {
			err := inTurn(ctx, all, func(ctx context.Context, i int) (err error) {
				came[i][q.name], err = all[i].repeat(ctx, q, all[i].users, r.asks)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		err := inTurn(ctx, all, func(ctx context.Context, i int) (err error) {
			transactions[i], err = all[i].transactions(ctx)
			return err
		})
		return func(in round) {
			for i, e := range all {
				r.reportAnswers(e, in, came[i])
				r.add(e.key("O11", "activity", "transactions", "of 1,000"), e.whose, in, transactions[i])
			}
		}, err
	})
}

// questions are those that are put to it.
func (e examined) questions() []question {
	return slices.DeleteFunc(questions(e.users), func(q question) bool { return e.running && !q.running })
}

// askOnce puts each question for a while.
func (r *run) askOnce(ctx context.Context, e examined) (cameOf, error) {
	came := cameOf{}
	for _, q := range e.questions() {
		x, err := e.repeat(ctx, q, e.users, r.asks)
		if err != nil {
			return nil, err
		}
		came[q.name] = x
	}
	return came, nil
}

func (r *run) reportAnswers(e examined, in round, came cameOf) {
	for _, q := range e.questions() {
		x := came[q.name]
		r.add(e.key(q.operation, q.name, "cpu", "ms"), e.whose, in, x.cpu)
		r.add(e.key(q.operation, q.name, "rate", "1/s"), e.whose, in, x.rate)
		r.add(e.key(q.operation, q.name, "p99", "ms"), e.whose, in, x.p99)
	}
	r.add(e.key("O10", "far_by_first", "cpu", "times"), e.whose, in, came["page_of_200_far"].cpu/came["page_of_200"].cpu)
}

// apiRounds are fewer than the others: each puts every question for seconds.
const apiRounds = 3

// api is O9 to O11: the hub's core, its API and its database, with as many users and then with a server for each, on a scheduler that takes no time; and then with a
// crowd of users.
func (r *run) api(ctx context.Context) error {
	few := r.times(apiRounds)
	return r.withDatabases(ctx, func(ctx context.Context, kinds []databaseKind) error {
		for _, users := range r.sizes {
			if users < 1000 {
				continue
			}
			if err := few.apiOf(ctx, kinds, users); err != nil {
				return fmt.Errorf("%d users: %w", users, err)
			}
		}
		if r.crowd <= r.largest() {
			return nil
		}
		for _, kind := range kinds {
			if err := few.apiOfCrowd(ctx, kind); err != nil {
				return fmt.Errorf("%s, %d users: %w", kind.name, r.crowd, err)
			}
		}
		return nil
	})
}

// apiOf asks ours and the stock hub, on each database.
func (r *run) apiOf(ctx context.Context, kinds []databaseKind, users int) error {
	hubs, err := r.openSubjects(ctx, "api", kinds, users, false)
	defer func() { closeSubjects(hubs) }()
	if err != nil {
		return err
	}
	counters := make([]writeCounter, len(hubs))
	for i, s := range hubs {
		if counters[i], err = s.countWrites(ctx); err != nil {
			return err
		}
		defer counters[i].close()
	}
	for _, running := range []bool{false, true} {
		if running {
			if err := inTurn(ctx, hubs, func(ctx context.Context, i int) error { return hubs[i].runAll(ctx, users) }); err != nil {
				return err
			}
		}
		var all []examined
		for i, s := range hubs {
			all = append(all, s.examine(running, counters[i]))
		}
		if err := r.askAll(ctx, all); err != nil {
			return err
		}
	}
	return nil
}

// apiOfCrowd asks a hub with a crowd of users in turn with one that has as many as the measurements with the most servers: what an answer takes should not depend on
// how many there are.
func (r *run) apiOfCrowd(ctx context.Context, kind databaseKind) error {
	f, err := r.openOurs(ctx, "few", kind, r.largest(), false)
	if err != nil {
		return err
	}
	defer f.close()
	c, err := r.openOurs(ctx, "crowd", kind, r.crowd, false)
	if err != nil {
		return err
	}
	defer c.close()
	few, crowd := f.examine(false, nil), c.examine(false, nil)
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		before, err := r.askOnce(ctx, few)
		if err != nil {
			return nil, err
		}
		after, err := r.askOnce(ctx, crowd)
		return func(in round) {
			r.reportAnswers(crowd, in, after)
			for _, q := range questions(r.crowd) {
				r.add(crowd.key(q.operation, q.name, "by_fewer", "times"), ours, in, after[q.name].cpu/before[q.name].cpu)
			}
		}, err
	})
}
