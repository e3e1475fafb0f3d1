package consul

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nomadhub/nomadhub/routing"
)

// turning is a ring of keys, of which the last one signs.
type turning struct{ keys atomic.Pointer[[]signer] }

func (k *turning) set(keys ...signer) { k.keys.Store(&keys) }

func (k *turning) Sign(purpose string, message []byte) string {
	keys := *k.keys.Load()
	return keys[len(keys)-1].Sign(purpose, message)
}

func (k *turning) Verify(purpose string, message []byte, code string) bool {
	return slices.ContainsFunc(*k.keys.Load(), func(s signer) bool { return s.Verify(purpose, message, code) })
}

// TestBindingOfARetiredKeyIsSignedAnew takes the old key away while servers run whose bindings it has signed.
func TestBindingOfARetiredKeyIsSignedAnew(t *testing.T) {
	t.Parallel()
	keys := new(turning)
	keys.set("old")
	f, r, router, b := routed(t, func(o *Options) { o.Signer, o.Wait = keys, 20*time.Millisecond })
	keys.set("old", "new")
	keys.set("new")
	eventually(t, "the binding is signed with the new key", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		now, err := routing.OpenBinding(signer("new"), f.kv[r.bindingKey(b.Server)].Value)
		return err == nil && now == b
	})
	awaitRoute(t, router, b)
}
