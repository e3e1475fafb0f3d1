package store

import (
	"sync"
	"time"
)

// places remembers for a moment with whom pages of all users begin. Who reads one page after another then has each found by an index, where the database would
// skip all that comes before it, one by one: to read all users would take as long as the square of their number.
//
// What this process changes is noticed at once; a page may miss what another replica changed less than placeAge ago, as it would if it had been read then.
type places struct {
	mu    sync.Mutex
	epoch uint64 // rises when users come or go
	of    map[place]first
}

// place is where a page begins, in the order of the users' IDs.
type place struct {
	offset     int
	descending bool
}

// first is who comes first there.
type first struct {
	id    string
	until time.Time
}

const (
	// placeAge is how long a place is remembered: as long as a script may take for one page.
	placeAge = time.Second
	// maxPlaces bounds how many are, some hundred bytes each.
	maxPlaces = 1024
)

// at returns who comes first at a place, if that is remembered, and the epoch of now for learn.
func (p *places) at(where place) (id string, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.of[where]; time.Now().Before(f.until) {
		id = f.id
	}
	return id, p.epoch
}

// learn remembers who comes first at a place, unless users have come or gone since that epoch.
func (p *places) learn(where place, id string, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch != p.epoch {
		return
	}
	if p.of == nil || len(p.of) >= maxPlaces {
		p.of = make(map[place]first)
	}
	p.of[where] = first{id, time.Now().Add(placeAge)}
}

// forget is called when users have come or gone.
func (p *places) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	clear(p.of)
}
