package routing

import (
	"sync"
	"time"
)

const (
	// complaintPause is for how long the log says nothing more about a server that it has said something about: a browser that is left open asks many times a minute.
	complaintPause = time.Minute
	// mostComplaints bounds of how many servers that is remembered.
	mostComplaints = 1000
)

// complaints tells which failures are to be logged. The zero value is ready for use.
type complaints struct {
	mu    sync.Mutex
	about map[string]complaint
}

// complaint is what was logged last about something.
type complaint struct {
	at    time.Time
	since int // how many more there were since
}

// due tells whether a failure of this instance of a server is to be logged now, and how many were not since the last that was.
func (c *complaints) due(instance string, now time.Time) (unlogged int, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.about[instance]
	if known && now.Sub(last.at) < complaintPause {
		last.since++
		c.about[instance] = last
		return 0, false
	}
	if !known && len(c.about) >= mostComplaints {
		for other, l := range c.about {
			if now.Sub(l.at) >= complaintPause {
				delete(c.about, other)
			}
		}
		if len(c.about) >= mostComplaints {
			return 0, true
		}
	}
	if c.about == nil {
		c.about = map[string]complaint{}
	}
	c.about[instance] = complaint{at: now}
	return last.since, true
}
