package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/auth/scope"
	"github.com/nomadhub/nomadhub/hub"
)

const (
	hammerRate   = 1000 // requests a second of the one who asks without end
	hammerAllow  = 200  // a second that the hub lets each token make: its default
	hammerOthers = 20   // who ask beside it, each with a token of its own
	othersRate   = 200  // requests a second of all of them
	hammerWindow = 10 * time.Second
	hammerRounds = 3 // each is half a minute
	// hammerBurst is how long the one may ask as it likes, since it was quiet before: 2,000 requests beyond what comes in meanwhile.
	hammerBurst = 2 * time.Second
)

// hammer is F30: what everybody else notices of a notebook that asks the API a thousand times a second with its token.
func (r *run) hammer(ctx context.Context) error {
	return r.databases(ctx, func(ctx context.Context, database, dsn string) error {
		dir, err := r.folder("f30-" + database)
		if err != nil {
			return err
		}
		c, err := startCluster(ctx, dir, "")
		if err != nil {
			return err
		}
		defer c.stop()
		h, err := newHub(ctx, hubOptions{
			name: "h" + database, binary: r.hub, dsn: dsn, jobspec: rawExec(r.self, boot.String(), ""), cluster: c, users: hammerOthers, requests: hammerAllow,
			logLevel: "info", profiles: r.profiles,
		})
		if err != nil {
			return err
		}
		if err := h.start(ctx); err != nil {
			return err
		}
		defer h.close()
		return r.times(hammerRounds).repeat(ctx, func(ctx context.Context, _ int) (func(round), error) {
			x, err := h.hammered(ctx)
			return func(in round) { r.reportHammer(database, in, x) }, err
		})
	})
}

// hammered is what others noticed, in milliseconds, and what became of the requests of the one.
type hammered struct {
	calm, burst, held []float64
	calmCPU, heldCPU  float64 // of the hub, in % of a core
	let, refused      int64
	took              time.Duration // of the time in which it was held back
}

func (r *run) reportHammer(database string, in round, x hammered) {
	k := func(name, unit string) key { return key{Operation: "F30", Name: name, Database: database, Unit: unit} }
	calm := percentile(x.calm, 0.99)
	r.add(k("others_p99_alone", "ms"), ours, in, calm)
	r.add(k("others_p99_beside", "ms"), ours, in, percentile(x.held, 0.99))
	r.add(k("others_p99_ratio", "times"), ours, in, percentile(x.held, 0.99)/calm)
	r.add(k("others_p99_ratio_burst", "times"), ours, in, percentile(x.burst, 0.99)/calm)
	r.add(k("cpu_alone", "% of a core"), ours, in, x.calmCPU)
	r.add(k("cpu_beside", "% of a core"), ours, in, x.heldCPU)
	r.add(k("let_through", "1/s"), ours, in, float64(x.let)/x.took.Seconds())
	r.add(k("refused", "1/s"), ours, in, float64(x.refused)/x.took.Seconds())
}

// hammered looks at the others while nobody hammers, while the one uses up what it may ask at once, and after that.
func (h *hubProcess) hammered(ctx context.Context) (x hammered, err error) {
	tokens := make([]string, hammerOthers+1)
	for i := range tokens {
		u, err := h.store.UserByName(ctx, userName(i%hammerOthers))
		if err != nil {
			return x, err
		}
		if tokens[i], _, err = hub.IssueToken(ctx, h.store, scope.Standard(), u, hub.NewToken{}); err != nil {
			return x, err
		}
	}
	others := func(window time.Duration) ([]float64, error) {
		return h.everybodyElse(ctx, tokens[:hammerOthers], window)
	}
	if _, err := others(hammerBurst); err != nil { // connections are made, caches are warm
		return x, err
	}
	if x.calm, x.calmCPU, err = h.watched(func() ([]float64, error) { return others(hammerWindow) }); err != nil {
		return x, err
	}
	var let, refused, broken atomic.Int64
	hctx, cancel := context.WithCancel(ctx)
	var hammering sync.WaitGroup
	hammering.Go(func() {
		paced(hctx, hammerRate, func(int, time.Time) {
			switch status, err := h.ask(hctx, tokens[hammerOthers], userName(0)); {
			case err != nil && hctx.Err() == nil:
				broken.Add(1)
			case status == http.StatusTooManyRequests:
				refused.Add(1)
			case status == http.StatusOK:
				let.Add(1)
			}
		})
	})
	defer func() { cancel(); hammering.Wait() }()
	if x.burst, err = others(hammerBurst); err != nil {
		return x, err
	}
	err = h.await(ctx, time.Minute, func(context.Context) error {
		if refused.Load() == 0 {
			return errors.New("the token is not held back")
		}
		return nil
	})
	if err != nil {
		return x, err
	}
	let0, refused0, began := let.Load(), refused.Load(), time.Now()
	if x.held, x.heldCPU, err = h.watched(func() ([]float64, error) { return others(hammerWindow) }); err != nil {
		return x, err
	}
	x.let, x.refused, x.took = let.Load()-let0, refused.Load()-refused0, time.Since(began)
	if n := broken.Load(); n > 0 {
		err = fmt.Errorf("%d requests of the one who hammers were not answered at all", n)
	}
	return x, err
}

// watched tells how much processor time the hub used while do went on, in % of a core.
func (h *hubProcess) watched(do func() ([]float64, error)) (took []float64, cpu float64, err error) {
	began := time.Now()
	before, err := cpuTime(h.pid())
	if err != nil {
		return nil, 0, err
	}
	if took, err = do(); err != nil {
		return nil, 0, err
	}
	after, err := cpuTime(h.pid())
	return took, 100 * (after - before).Seconds() / time.Since(began).Seconds(), err
}

// everybodyElse asks with all these tokens in turn, and returns how long each answer took from the moment at which it was due to be asked for. It is an error if
// one of them is refused.
func (h *hubProcess) everybodyElse(ctx context.Context, tokens []string, window time.Duration) ([]float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wctx, stop := context.WithTimeout(ctx, window)
	defer stop()
	var mu sync.Mutex
	var took []float64
	paced(wctx, othersRate, func(i int, due time.Time) {
		status, err := h.ask(ctx, tokens[i%len(tokens)], userName(i%len(tokens))) // the window's end does not cut it short
		if err == nil && status != http.StatusOK {
			err = errors.New("somebody else is answered with " + strconv.Itoa(status))
		}
		if err != nil {
			cancel(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, since(due))
	})
	return took, context.Cause(ctx)
}

// paced calls do so often a second until ctx ends, each time at its time, however long the others take, and returns when all have returned.
func paced(ctx context.Context, perSecond int, do func(i int, due time.Time)) {
	var under sync.WaitGroup
	defer under.Wait()
	free := make(chan struct{}, 1000)
	began := time.Now()
	for i := 0; ; i++ {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if wait := time.Until(due); wait > 0 && !pause(ctx, wait) {
			return
		}
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		under.Go(func() { defer func() { <-free }(); do(i, due) })
	}
}

// ask reads a user with that token.
func (h *hubProcess) ask(ctx context.Context, token, user string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.public+"/hub/api/users/"+user, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "token "+token)
	res, err := h.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}
