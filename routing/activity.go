package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

// activities holds the last activity of each server. Stamping is one atomic store; nothing is written anywhere before somebody asks.
type activities struct {
	stamps sync.Map // server ID → *stamp
}

// stamp is a moment in nanoseconds since 1970; 0: nothing since it was last taken.
type stamp struct{ last atomic.Int64 }

// now records that the client did something. A nil stamp belongs to a route without a server.
func (s *stamp) now() {
	if s != nil {
		s.last.Store(time.Now().UnixNano())
	}
}

func (a *activities) of(server string) *stamp {
	if server == "" {
		return nil
	}
	if s, ok := a.stamps.Load(server); ok {
		return s.(*stamp)
	}
	s, _ := a.stamps.LoadOrStore(server, new(stamp))
	return s.(*stamp)
}

// TakeActivity returns what was seen since the last call, at most one entry for each server, in no order. Whoever takes it has to
// keep it: it is not told again.
func (p *Proxy) TakeActivity() []Activity {
	var taken []Activity
	table := p.router.Table()
	p.activity.stamps.Range(func(key, value any) bool {
		server, s := key.(string), value.(*stamp)
		if last := s.last.Swap(0); last != 0 {
			taken = append(taken, Activity{Server: server, Last: time.Unix(0, last)})
		} else if _, routed := table.Server(server); !routed {
			p.activity.stamps.Delete(server) // or the map would grow with every server that ever was
		}
		return true
	})
	return taken
}
