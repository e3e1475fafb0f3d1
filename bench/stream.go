package main

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// stream is what came of requests of one kind.
type stream struct {
	mu     sync.Mutex
	took   []float64 // milliseconds from when each was due to its answer, failed or not
	at     []time.Time
	failed int
	first  error // of those that failed
}

// note writes down that something is answered now that was due then.
func (s *stream) note(due time.Time, err error) {
	if errors.Is(err, errNoneYet) {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took, s.at = append(s.took, milliseconds(now.Sub(due))), append(s.at, now)
	if err != nil {
		s.failed++
		if s.first == nil {
			s.first = err
		}
	}
}

// longestGap is the longest time without an answer.
func (s *stream) longestGap(began time.Time) (longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := began
	for _, at := range slices.SortedFunc(slices.Values(s.at), time.Time.Compare) {
		longest = max(longest, at.Sub(last))
		last = at
	}
	return longest
}

func (x *mixed) streams() map[string]*stream {
	return map[string]*stream{
		"checks": &x.checks, "starts": &x.starts, "stops": &x.stops, "reports": &x.reports, "logins": &x.logins, "culls": &x.culls, "scrapes": &x.scrapes,
		"chats": &x.chats,
	}
}

// firstError is the first of each kind.
func (x *mixed) firstError() error {
	var errs []error
	for _, s := range x.streams() {
		errs = append(errs, s.first)
	}
	return errors.Join(errs...)
}
