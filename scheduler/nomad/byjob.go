package nomad

import "strings"

// byJob holds something of each of our jobs. It is keyed by the servers' IDs, which are in memory anyway, and asked by the jobs'.
type byJob[V any] struct {
	prefix string
	of     map[string]*V
}

func newByJob[V any](prefix string, size int) byJob[V] {
	return byJob[V]{prefix, make(map[string]*V, size)}
}

// get returns nil for what is not there.
func (b byJob[V]) get(job string) *V {
	id, ours := strings.CutPrefix(job, b.prefix)
	if !ours {
		return nil
	}
	return b.of[id]
}

func (b byJob[V]) remove(job string) {
	if id, ours := strings.CutPrefix(job, b.prefix); ours {
		delete(b.of, id)
	}
}
