package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nomadhub/nomadhub/internal/freeport"
)

// What goes on at once in O17, a second if nothing else is said. All of it comes at its time, however long the answers to the rest take.
const (
	mixedChecks  = 100 // looks at a token: their answers are the result
	mixedStarts  = 20  // and as many stops
	mixedReports = 300 // of activity
	mixedLogins  = 5
	mixedChats   = 200 // websockets

	mixedCull   = time.Minute      // from one look for servers that nobody uses to the next
	mixedScrape = 15 * time.Second // from one look at the metrics to the next

	// mixedDrain is how long after the end of a round answers may still come; what has none by then has failed.
	mixedDrain = 30 * time.Second
	// mixedStay is how long a server runs before it is stopped.
	mixedStay = 10 * time.Second
)

// mixedRounds are fewer than others: one takes a minute.
const mixedRounds = 3

// mix is a hub under a mixed load. Half of its users have a server before; those of the others come and go.
type mix struct {
	asked
	people  site
	starts  starter
	metrics string
	users   int
	window  time.Duration
	chats   *chats // nil: nothing passes websockets on

	mu      sync.Mutex
	next    int // of those who start a server
	running []runningServer
}

// runningServer is a server that came and is to go.
type runningServer struct {
	user  int
	since time.Time
}

// mixed is how it went.
type mixed struct {
	checks, starts, stops, reports, logins, culls, scrapes, chats stream

	cpu float64 // % of a core
	gap float64 // the longest time without an answer to a look at a token, in milliseconds
}

// mixed is O17: how long a look at a token takes, and how long there may be no answer, while everything else goes on.
func (r *run) mixed(ctx context.Context) error {
	return r.eachDatabase(ctx, func(ctx context.Context, database string, fresh freshDatabase) error {
		dir, err := r.folder("mixed-" + database)
		if err != nil {
			return err
		}
		dsn, err := fresh(ctx)
		if err != nil {
			return err
		}
		ports, err := freeport.Find(1)
		if err != nil {
			return err
		}
		users := r.largest()
		f, err := r.spawnFake(ctx, fakeOptions{dir: dir, dsn: dsn, users: users, port: ports[0], whole: true})
		if err != nil {
			return err
		}
		defer f.stop()
		n := min(mixedChats, users/2)
		if err := errors.Join(f.fill(ctx, 0, n), f.fill(ctx, n, users/2)); err != nil {
			return err
		}
		servers, err := serveChats(ctx, n, ports[0])
		if err != nil {
			return err
		}
		defer servers.close()
		m := newMix(newAsked(f.URL+"/hub/api", f.Token, f.pid()), newSite(f.Public, f.URL), f.Metrics, users, r.window)
		if m.chats, err = openChats(ctx, f.Public, n); err != nil {
			return err
		}
		defer m.chats.close()
		return r.times(mixedRounds).mix(ctx, m, ours, database)
	})
}

func newMix(a asked, people site, metrics string, users int, window time.Duration) *mix {
	a.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 256 //nolint:forcetypeassert // its maker's
	return &mix{asked: a, people: people, starts: newStarter(people.api, a.token), metrics: metrics, users: users, window: window}
}

// mixed is the same of the stock hub, without websockets: its proxy is not there.
func (f *stockField) mixed(ctx context.Context) error {
	if !f.compares("mixed") || f.size != f.largest() {
		return nil
	}
	f.kill()
	if err := f.seed(ctx, f.size, f.size/2); err != nil {
		return err
	}
	if _, _, err := f.start(ctx, f.size/2); err != nil {
		return err
	}
	m := newMix(newAsked(f.url+"/hub/api", f.token, f.pid()), newSite(f.url, f.url), f.url+"/hub/metrics", f.size, f.window)
	return f.times(1).mix(ctx, m, stock, "sqlite") // after one it is busy with what it could not do
}

// mix puts the load on a hub in each round.
func (r *run) mix(ctx context.Context, m *mix, whose, database string) error {
	return r.repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
		x, err := m.run(ctx)
		if err != nil {
			return nil, err
		}
		if err := x.firstError(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: of %s some requests failed: %v\n", whose, err)
		}
		return func(in round) { r.reportMixed(whose, database, m.users, in, x) }, nil
	})
}

func (r *run) reportMixed(whose, database string, users int, in round, x *mixed) {
	add := func(name, unit string, v float64) {
		r.add(key{Operation: "O17", Name: name, Size: users, Database: database, Unit: unit}, whose, in, v)
	}
	add("token_check_p50", "ms", percentile(x.checks.took, 0.5))
	add("token_check_p99", "ms", percentile(x.checks.took, 0.99))
	add("token_check_slowest", "ms", percentile(x.checks.took, 1))
	add("longest_gap", "ms", x.gap)
	add("login_p99", "ms", percentile(x.logins.took, 0.99))
	add("start_p99", "ms", percentile(x.starts.took, 0.99))
	add("activity_p99", "ms", percentile(x.reports.took, 0.99))
	add("cull_pass", "ms", percentile(x.culls.took, 1))
	add("scrape", "ms", percentile(x.scrapes.took, 1))
	if len(x.chats.took) > 0 {
		add("message_p99", "ms", percentile(x.chats.took, 0.99))
	}
	add("cpu", "% of a core", x.cpu)
	failed := 0
	for _, s := range x.streams() {
		failed += s.failed
	}
	add("failed", "requests", float64(failed))
}

// run has everything go on for a while, and waits for what was asked in that time.
func (m *mix) run(ctx context.Context) (*mixed, error) {
	if err := m.check(ctx, 0); err != nil { // the hub is there, and the token is good
		return nil, err
	}
	before, err := cpuTime(m.pid)
	if err != nil {
		return nil, err
	}
	x, began := &mixed{}, time.Now()
	all, cut := context.WithTimeout(ctx, m.window+mixedDrain)
	defer cut()
	window, stop := context.WithTimeout(all, m.window)
	defer stop()
	var going sync.WaitGroup
	flow := func(s *stream, perSecond int, do func(context.Context, int) error) {
		going.Go(func() {
			paced(window, perSecond, func(i int, due time.Time) { s.note(due, do(all, i)) }) // the window's end cuts no answer short
		})
	}
	flow(&x.checks, mixedChecks, m.check)
	flow(&x.starts, mixedStarts, m.startNext)
	flow(&x.stops, mixedStarts, m.stopOldest)
	flow(&x.reports, mixedReports, func(ctx context.Context, i int) error { return m.ask(ctx, activity(), i%m.users) })
	flow(&x.logins, mixedLogins, func(ctx context.Context, i int) error {
		_, err := m.people.login(ctx, userName(i%m.users))
		return err
	})
	going.Go(func() { m.now(window, all, mixedCull, &x.culls, m.cull) })
	going.Go(func() { m.now(window, all, mixedScrape, &x.scrapes, m.scrape) })
	going.Go(func() { m.chats.talk(window, &x.chats) })
	<-window.Done()
	took := time.Since(began)
	after, err := cpuTime(m.pid)
	if err != nil {
		return nil, err
	}
	going.Wait()
	x.cpu, x.gap = 100*(after-before).Seconds()/took.Seconds(), milliseconds(x.checks.longestGap(began))
	return x, ctx.Err()
}

// now does something now and then, the first time after half of that time, or of the window if it is shorter.
func (m *mix) now(window, ctx context.Context, every time.Duration, s *stream, do func(context.Context) error) { //nolint:revive // the window ends before what began in it
	for wait := min(every, m.window) / 2; pause(window, wait); wait = every {
		began := time.Now()
		s.note(began, do(ctx))
	}
}

func (m *mix) check(ctx context.Context, _ int) error {
	return m.ask(ctx, question{method: http.MethodGet, path: "/user"}, 0)
}

// startNext starts the server of the next of those who have none.
func (m *mix) startNext(ctx context.Context, _ int) error {
	half := m.users / 2
	m.mu.Lock()
	user := half + m.next%(m.users-half)
	m.next++
	m.mu.Unlock()
	status, err := m.starts.ask(ctx, http.MethodPost, user)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("the start for %s was answered with %d", userName(user), status)
	}
	if err == nil {
		m.mu.Lock()
		m.running = append(m.running, runningServer{user, time.Now()})
		m.mu.Unlock()
	}
	return err
}

// errNoneYet says that no server has run for long enough.
var errNoneYet = errors.New("no server has run for long enough") //nolint:gochecknoglobals // a constant

// stopOldest stops the server that has run for longest, if it has stayed.
func (m *mix) stopOldest(ctx context.Context, _ int) error {
	stay := min(mixedStay, time.Duration(m.users)*time.Second/mixedStarts/4) // it is to be gone long before its turn comes again
	m.mu.Lock()
	if len(m.running) == 0 || time.Since(m.running[0].since) < stay {
		m.mu.Unlock()
		return errNoneYet
	}
	oldest := m.running[0]
	m.running = m.running[1:]
	m.mu.Unlock()
	status, err := m.starts.ask(ctx, http.MethodDelete, oldest.user)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("the stop for %s was answered with %d", userName(oldest.user), status)
	}
	return err
}

// cull looks at all servers that are ready, as jupyterhub-idle-culler does: page by page, each after the other.
func (m *mix) cull(ctx context.Context) error {
	for offset, there := 0, true; there; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base+"/users?state=ready&limit="+strconv.Itoa(cullerPage)+"&offset="+strconv.Itoa(offset), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "token "+m.token)
		req.Header.Set("Accept", "application/jupyterhub-pagination+json")
		res, err := send(m.client, req)
		if err != nil {
			return err
		}
		var page struct {
			Pages struct{ Next *struct{ Offset int } } `json:"_pagination"`
		}
		if err := json.Unmarshal(res.text, &page); err != nil || res.code != http.StatusOK {
			return fmt.Errorf("a page for the culler came with %d: %.300s", res.code, res.text)
		}
		if there = page.Pages.Next != nil; there {
			offset = page.Pages.Next.Offset
		}
	}
	return nil
}

func (m *mix) scrape(ctx context.Context) error {
	_, err := read(ctx, m.client, m.metrics)
	return err
}
