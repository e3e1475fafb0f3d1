package storetest

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nomadhub/nomadhub/hub"
)

func leases() []test {
	return []test{
		{"One holds it, renews it, and the other waits until it is given back", func(f fixture) {
			first := f.acquires("a", time.Hour)
			f.isRefused("b")
			f.same("the fence after a renewal", f.acquires("a", time.Hour), first)
			f.must(f.store.ReleaseLease(f.ctx, "lease", "b")) // has nothing to give back
			f.isRefused("b")
			f.must(f.store.ReleaseLease(f.ctx, "lease", "a"))
			second := f.acquires("b", time.Hour)
			if second <= first {
				f.Errorf("the fence went from %d to %d", first, second)
			}
			f.isRefused("a")
		}},
		{"It can be taken once it has run out", func(f fixture) {
			first := f.acquires("a", time.Millisecond)
			f.eventually("the lease runs out", func() bool {
				held, fence, err := f.store.AcquireLease(f.ctx, "lease", "b", time.Hour)
				f.must(err)
				if held && fence <= first {
					f.Errorf("the fence went from %d to %d", first, fence)
				}
				return held
			})
			f.isRefused("a")
		}},
		{"Names are apart", func(f fixture) {
			f.acquires("a", time.Hour)
			held, _, err := f.store.AcquireLease(f.ctx, "another", "b", time.Hour)
			f.must(err)
			f.same("whether the other lease is held", held, true)
		}},
		{"Of many at once one gets it", func(f fixture) {
			var won atomic.Int64
			var wg sync.WaitGroup
			for i := range 30 {
				wg.Go(func() {
					held, _, err := f.store.AcquireLease(f.ctx, "lease", strconv.Itoa(i), time.Hour)
					if err != nil {
						f.Error(err)
					}
					if held {
						won.Add(1)
					}
				})
			}
			wg.Wait()
			f.same("how many hold it", won.Load(), int64(1))
		}},
		{"The fence rises with each change of hands, also to the same one", func(f fixture) {
			last := int64(0)
			for range 3 {
				fence := f.acquires("a", time.Hour)
				if fence <= last {
					f.Errorf("the fence went from %d to %d", last, fence)
				}
				last = fence
				f.must(f.store.ReleaseLease(f.ctx, "lease", "a"))
			}
		}},
		{"Without a holder or a time there is none", func(f fixture) {
			_, _, err := f.store.AcquireLease(f.ctx, "lease", "", time.Hour)
			f.same("the kind of error", hub.KindOf(err), hub.Invalid)
			_, _, err = f.store.AcquireLease(f.ctx, "lease", "a", 0)
			f.same("the kind of error", hub.KindOf(err), hub.Invalid)
		}},
	}
}

func (f fixture) acquires(holder string, ttl time.Duration) int64 {
	f.Helper()
	held, fence, err := f.store.AcquireLease(f.ctx, "lease", holder, ttl)
	f.must(err)
	if !held {
		f.Fatalf("%s did not get the lease", holder)
	}
	return fence
}

func (f fixture) isRefused(holder string) {
	f.Helper()
	held, _, err := f.store.AcquireLease(f.ctx, "lease", holder, time.Hour)
	f.must(err)
	if held {
		f.Errorf("%s got a lease that another holds", holder)
	}
}
