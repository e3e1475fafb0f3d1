package routing

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// activities holds the last activity of each server. Stamping is one atomic store; nothing is written anywhere before somebody asks.
type activities struct {
	stamps sync.Map // server ID → *stamp
}

// stamp holds moments in nanoseconds since 1970; 0: nothing since it was last taken.
type stamp struct{ last, used, output atomic.Int64 }

// now records that the client sent something. A nil stamp belongs to a route without a server.
func (s *stamp) now() {
	if s != nil {
		s.last.Store(time.Now().UnixNano())
	}
}

// use records that somebody used the server.
func (s *stamp) use() {
	if s != nil {
		now := time.Now().UnixNano()
		s.last.Store(now)
		s.used.Store(now)
	}
}

// sent records that the server sent a message on a websocket.
func (s *stamp) sent() {
	if s != nil {
		s.output.Store(time.Now().UnixNano())
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
		seen := Activity{Server: server, Last: moment(s.last.Swap(0)), Used: moment(s.used.Swap(0)), Output: moment(s.output.Swap(0))}
		if seen != (Activity{Server: server}) {
			taken = append(taken, seen)
		} else if _, routed := table.Server(server); !routed {
			p.activity.stamps.Delete(server) // or the map would grow with every server that ever was
		}
		return true
	})
	return taken
}

func moment(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// polled are the parts of a server below which its own pages ask again and again, whether anybody looks at them or not: kernels, sessions, terminals,
// folders, settings, the use of memory.
var polled = [...]string{"api/", "lab/api/"}

// isUse tells whether a request that ends well says that somebody uses the server. What is only read below the paths that pages ask by themselves does not.
func (e *entry) isUse(r *http.Request) bool {
	switch r.Method {
	case http.MethodOptions:
		return false
	case http.MethodGet, http.MethodHead:
		rest := strings.TrimPrefix(r.URL.Path, e.Prefix)
		for _, prefix := range polled {
			if strings.HasPrefix(rest, prefix) {
				return false
			}
		}
	}
	return !strings.Contains(r.URL.RawQuery, "no_track_activity") // Jupyter's own word for it
}

// room is the path of documents that several people edit at once. Their pages tell each other every few seconds who is there.
const room = "api/collaboration/room/"

// awareness is how a message begins that only says who is there.
const awareness = 1

// frames follows the websocket messages of one direction, far enough to tell data from the pings and pongs that connections keep themselves alive with.
type frames struct {
	head  [14]byte
	have  uint8  // bytes of the head so far
	left  uint64 // bytes of the payload that are still to come
	room  bool   // messages of awareness do not count
	first bool   // the next byte is the first of a payload that may be one
	mask  byte   // what it is masked with
}

// data takes the next bytes and tells whether a message, or a part of one, is in them.
func (f *frames) data(p []byte) bool {
	found := false
	for len(p) > 0 {
		if f.left > 0 {
			if f.first {
				f.first = false
				found = found || p[0]^f.mask != awareness
			}
			n := min(f.left, uint64(len(p)))
			p, f.left = p[n:], f.left-n
			continue
		}
		f.head[f.have] = p[0]
		f.have++
		p = p[1:]
		if int(f.have) < f.size() {
			continue
		}
		found = f.begin() || found
	}
	return found
}

// size is how long the head is, as far as is known.
func (f *frames) size() int {
	if f.have < 2 {
		return 2
	}
	size := 2
	switch f.head[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// begin takes a whole head, and tells whether its frame is data for certain.
func (f *frames) begin() bool {
	length, at := uint64(f.head[1]&0x7f), 2
	extended := map[uint64]int{126: 2, 127: 8}[length]
	if extended > 0 {
		length = 0
		for _, b := range f.head[at : at+extended] {
			length = length<<8 | uint64(b)
		}
		at += extended
	}
	f.mask = 0
	if f.head[1]&0x80 != 0 {
		f.mask = f.head[at]
	}
	f.left, f.have = length, 0
	opcode := f.head[0] & 0x0f
	if f.room && opcode == 2 {
		f.first = length > 0
		return false
	}
	return opcode <= 2 // a continuation, text or bytes; what is above controls the connection
}

// watcher stamps what passes in one direction of a websocket.
type watcher struct {
	stamp  *stamp
	client bool // it comes from the client
	frames frames
}

func (w *watcher) saw(p []byte) {
	if w == nil || w.stamp == nil {
		return
	}
	message := w.frames.data(p)
	switch {
	case w.client && message:
		w.stamp.use()
	case w.client:
		w.stamp.now()
	case message:
		w.stamp.sent()
	}
}
