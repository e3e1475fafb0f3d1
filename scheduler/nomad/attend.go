package nomad

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	// patience is how long an answer to a question that needs no work may take.
	patience = 3 * time.Second
	// lostAfter is for how long nothing may answer until the connection is given up and another one is tried.
	lostAfter = 5 * time.Second
	// settleTime is how long an event may be under way on one connection when another one shows it already.
	settleTime = 2 * time.Second
	// quietTime is how long a new stream may say nothing after its greeting until it is taken to have nothing to say: what it has is
	// sent at once.
	quietTime = 500 * time.Millisecond
	// secondLookEvery bounds how often a second stream is opened: in a cluster where others work all the time, the tables' indexes run
	// ahead of ours for good.
	secondLookEvery = 3 * time.Second
)

// follower is what is known of one connection to the event stream. The index of a change is the same on all servers of a cluster.
type follower struct {
	mu        sync.Mutex
	delivered uint64 // the highest index that the stream brought
	checked   uint64 // up to this one a second look showed that the stream lacks nothing
	busy      bool   // what it brought last is being worked on
	moved     chan struct{}
	signs     []*signs // of the stream
}

func newFollower(index uint64, of ...*signs) *follower {
	return &follower{delivered: index, moved: make(chan struct{}), signs: of}
}

// sign notes that the stream lacked nothing at that time.
func (f *follower) sign(at time.Time) {
	for _, s := range f.signs {
		s.note(at)
	}
}

// begin takes note of what the stream brought, before it is worked on.
func (f *follower) begin(next frame) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delivered, f.busy = max(f.delivered, next.Index), true
	close(f.moved)
	f.moved = make(chan struct{})
}

func (f *follower) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = false
}

func (f *follower) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delivered
}

// vouch notes that the stream had nothing to bring up to that index.
func (f *follower) vouch(index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = max(f.checked, index)
}

// await waits for the stream to bring that index, unless it is known that the stream has nothing to bring up to there. It returns whether it
// lags behind; while what it brought before is worked on, the delay is ours, and nothing is known.
func (f *follower) await(ctx context.Context, index uint64, atMost time.Duration) (known, lags bool) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		f.mu.Lock()
		upTo, busy, moved := max(f.delivered, f.checked), f.busy, f.moved
		f.mu.Unlock()
		if upTo >= index {
			return true, false
		}
		select {
		case <-ctx.Done():
			return false, false
		case <-moved:
		case <-timer.C:
			return false, !busy
		}
	}
}

// tables are what the stream tells of. Nomad says with the answer to any list at which index its table changed last.
var tables = [...]string{"allocations", "evaluations", "nodes"}

// attend watches beside the stream whether it still tells everything, because Nomad's heartbeats come only every 30 seconds and say nothing of
// what a frozen connection holds back. It asks one small question after the other. When the answer's index is ahead of the stream's, that
// alone proves nothing, as the tables hold other people's work, too; then a second stream from where the first one stands shows whether
// there is anything that this one should have brought. It cuts the stream with errFrozen or errNoContact, or returns when ctx ends.
func (s *Scheduler) attend(ctx context.Context, f *follower, nodes bool, cut context.CancelCauseFunc) {
	asked := tables[:]
	if !nodes {
		asked = asked[:len(asked)-1]
	}
	var answered, looked time.Time
	begun := time.Now()
	for turn := 0; ; turn++ {
		pause(ctx, s.opts.ProbeInterval/2+rand.N(s.opts.ProbeInterval))
		if ctx.Err() != nil {
			return
		}
		asking := time.Now()
		index, err := s.tableIndex(ctx, asked[turn%len(asked)])
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && statusCode(err) != 0: // somebody answers, who cannot say: no leader, or a token that is just being replaced
			answered = time.Now()
			continue
		case err != nil:
			since := begun
			if !answered.IsZero() {
				since = answered
			}
			if time.Since(since) > lostAfter {
				cut(errNoContact)
				return
			}
			continue
		}
		answered = time.Now()
		known, lags := f.await(ctx, index, settleTime/4)
		if known {
			f.sign(asking)
		}
		if known || !lags || time.Since(looked) < secondLookEvery {
			continue
		}
		looked = time.Now()
		if s.secondLook(ctx, f, nodes, index) {
			cut(errFrozen)
			return
		}
	}
}

// tableIndex asks for the index of one table, and not for long.
func (s *Scheduler) tableIndex(ctx context.Context, table string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.indexOfTable(ctx, table)
}

// secondLook opens another stream from where the first one stands and reports whether that one shows what the first did not bring.
func (s *Scheduler) secondLook(ctx context.Context, f *follower, nodes bool, index uint64) (frozen bool) {
	asking := time.Now()
	missing, err := s.firstAfter(ctx, f.at(), nodes)
	if err != nil {
		return false // the next turn tells more
	}
	if missing == 0 {
		f.vouch(index)
		f.sign(asking)
		return false
	}
	_, lags := f.await(ctx, missing, settleTime)
	return lags
}

// firstAfter returns the index of the first event after that one, or 0 if there is none.
func (s *Scheduler) firstAfter(ctx context.Context, index uint64, nodes bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := s.openStream(ctx, index+1, nodes)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	found := make(chan uint64, 1)
	failed := make(chan error, 1)
	greeted := make(chan struct{})
	go func() {
		decoder := json.NewDecoder(&allowance{from: body, left: maxFrame})
		for first := true; ; first = false {
			var next struct{ Index uint64 }
			if err := decoder.Decode(&next); err != nil {
				failed <- err
				return
			}
			if first {
				close(greeted)
			}
			// A stream from an index that is not there yet begins with the last event before it.
			if next.Index > index {
				found <- next.Index
				return
			}
		}
	}()
	select {
	case <-greeted:
	case err := <-failed:
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	quiet := time.NewTimer(quietTime)
	defer quiet.Stop()
	select {
	case missing := <-found:
		return missing, nil
	case err := <-failed:
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-quiet.C:
		return 0, nil
	}
}

// mayReadNodes reports whether the token lets us see machines. Without it drains are told later, and less of them.
func (s *Scheduler) mayReadNodes(ctx context.Context) (bool, error) {
	_, err := s.tableIndex(ctx, "nodes")
	if statusCode(err) == http.StatusForbidden {
		return false, nil
	}
	return err == nil, translate(ctx, "listing machines", err)
}
