package hub

import (
	"sync"
	"testing"
	"time"
)

// Those of a crowd who are on their way to the desk are waited for, and nobody else.
func TestTheDeskWaitsForACrowd(t *testing.T) {
	t.Parallel()
	d := &desk{}
	d.init(&Hub{})
	d.gather = time.Hour
	d.await(t.Context()) // nobody asks
	d.rush.present.Store(crowdSize - 1)
	d.await(t.Context()) // a few ask, of whom none is there

	d.rush.present.Store(crowdSize)
	var all sync.WaitGroup
	for range crowdSize {
		all.Go(func() {
			d.mu.Lock()
			d.waiting = append(d.waiting, &request{})
			d.mu.Unlock()
			d.signal()
		})
	}
	d.await(t.Context())
	if n := d.standing(); n != crowdSize {
		t.Errorf("the desk went on when %d of %d were there", n, crowdSize)
	}
	all.Wait()
	d.rush.present.Store(10 * maxTogether)
	d.gather = time.Nanosecond
	d.await(t.Context()) // not for those who take too long
}
