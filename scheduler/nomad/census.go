package nomad

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomadhub/nomadhub/internal/pull"
)

// censusAge is for how long a list stands at most, though Nomad says that nothing changed.
const censusAge = 10 * time.Minute

// catchUp is how long a new leader may take until it knows what the one before it did.
const catchUp = 5 * time.Second

var errBehind = errors.New("the server that answers knows less than another one did a moment ago, or the cluster was restored from an older state")

// census is what Nomad listed last. Each of Nomad's tables has an index, which moves with every change of anything in it. It is asked for before the table is listed;
// as long as it stands there, a list that was read since is what another one would be. The lists do not change after they were stored.
type census struct {
	jobs   atomic.Pointer[jobList]
	allocs atomic.Pointer[allocList]
}

type jobList struct {
	index uint64
	read  time.Time
	views []jobView // sorted by ID
}

// allocList holds the newest allocation of each job, but for ended ones of jobs that there are no more.
type allocList struct {
	index  uint64
	read   time.Time
	newest []*allocView // sorted by job
}

// forget makes the next lists be read anew.
func (c *census) forget() {
	c.jobs.Store(nil)
	c.allocs.Store(nil)
}

func stands(index uint64, read time.Time, now uint64) bool {
	return index == now && now != 0 && time.Since(read) < censusAge
}

// listJobs returns all jobs of this scheduler, and an index which the list is not older than.
func (s *Scheduler) listJobs(ctx context.Context) (*jobList, error) {
	index, err := s.indexOfTable(ctx, "jobs")
	if err != nil {
		return nil, translate(ctx, "listing jobs", err)
	}
	if last := s.census.jobs.Load(); last != nil && stands(last.index, last.read, index) {
		return last, nil
	}
	q := s.query(ctx)
	q.Prefix, q.Params = s.opts.JobPrefix, map[string]string{"meta": "true"}
	list := &jobList{index: index, read: time.Now()}
	known := s.census.jobs.Load()
	err = s.eachListed(ctx, "/v1/jobs", q, index, func(stub []byte) error {
		view, err := parseStub(stub, s.opts.JobPrefix)
		if err == nil && view.id != "" {
			view.id = known.name(view.id)
			list.views = append(list.views, view)
		}
		return err
	})
	if err != nil {
		return nil, translate(ctx, "listing jobs", err)
	}
	slices.SortFunc(list.views, func(a, b jobView) int { return strings.Compare(a.id, b.id) })
	list.views = slices.Clip(list.views)
	s.census.jobs.Store(list)
	return list, nil
}

// name returns the server's ID as it is in memory already, if it is.
func (l *jobList) name(id string) string {
	if l == nil {
		return id
	}
	if at, known := slices.BinarySearchFunc(l.views, id, func(v jobView, id string) int { return strings.Compare(v.id, id) }); known {
		return l.views[at].id
	}
	return id
}

// parseStub returns a view without ID for what is no job of ours: the prefix may match other people's jobs, and those of a hub whose prefix begins with ours.
func parseStub(stub []byte, prefix string) (jobView, error) {
	var id []byte
	var stopped bool
	var index uint64
	meta := make(map[string]string, 4)
	c := newCursor(stub)
	err := c.Fields(func(name []byte) (err error) {
		switch string(name) {
		case "ID":
			id, err = c.Value()
		case "Stop":
			err = c.Bool(&stopped)
		case "JobModifyIndex":
			err = c.Uint64(&index)
		case "Meta":
			err = takeOwnMeta(c, meta)
		}
		return err
	})
	if err != nil {
		return jobView{}, err
	}
	if view := newView(meta, stopped, index); view.id != "" && string(id) == `"`+prefix+view.id+`"` {
		return view, nil
	}
	return jobView{}, nil
}

// takeOwnMeta reads what this package wrote there.
func takeOwnMeta(c *cursor, into map[string]string) error {
	if c.Null() {
		return nil
	}
	return c.Fields(func(name []byte) error {
		for _, own := range [...]string{metaServer, metaGeneration, metaEnding, metaRegistered} {
			if string(name) == own {
				var text string
				err := c.Text(&text)
				into[own] = text
				return err
			}
		}
		return nil
	})
}

// listAllocs returns the newest allocation of each of these jobs, and those that live without a job.
func (s *Scheduler) listAllocs(ctx context.Context, jobs []jobView) (*allocList, error) {
	index, err := s.indexOfTable(ctx, "allocations")
	if err != nil {
		return nil, translate(ctx, "listing allocations", err)
	}
	last := s.census.allocs.Load()
	switch {
	case last == nil:
		last = &allocList{}
	case stands(last.index, last.read, index):
		return last, nil
	case index < last.index || time.Since(last.read) >= censusAge: // another history, of which nothing is known
		last = &allocList{}
	}
	q := s.query(ctx)
	// The prefix has no character that means something in a regular expression.
	q.Filter = fmt.Sprintf("JobID matches %q", "^"+s.opts.JobPrefix)
	q.Params = map[string]string{"resources": "true"}
	newest := make(map[string]*allocView, len(jobs))
	err = s.eachListed(ctx, "/v1/allocations", q, index, func(stub []byte) error {
		view, err := last.view(stub, s.opts.JobPrefix, jobs)
		if err != nil || view == nil {
			return err
		}
		if held := s.mirror.holdsAlloc(view.job, view.id, view.index); held != nil {
			view = held // the same, and in memory once
		}
		if known := newest[view.job]; known == nil || known.created < view.created {
			newest[view.job] = view
		}
		return nil
	})
	if err != nil {
		return nil, translate(ctx, "listing allocations", err)
	}
	list := &allocList{index: index, read: time.Now(), newest: make([]*allocView, 0, len(newest))}
	list.newest = slices.SortedFunc(maps.Values(newest), func(a, b *allocView) int { return strings.Compare(a.job, b.job) })
	list.newest = slices.Clip(list.newest)
	s.census.allocs.Store(list)
	return list, nil
}

// view reads one allocation. One that has not changed since this list is not read again, and one that has ended and whose job is gone is left out: nil.
func (l *allocList) view(stub []byte, prefix string, jobs []jobView) (*allocView, error) {
	var id, job, clientStatus []byte
	var index uint64
	c := newCursor(stub)
	err := c.Fields(func(name []byte) (err error) {
		switch string(name) {
		case "ID":
			id, err = c.Value()
		case "JobID":
			job, err = c.Value()
		case "ClientStatus":
			clientStatus, err = c.Value()
		case "ModifyIndex":
			err = c.Uint64(&index)
		}
		return err
	})
	if err != nil || len(id) < 2 || len(job) < len(prefix)+2 || !bytes.HasPrefix(job[1:], []byte(prefix)) {
		return nil, err
	}
	if bytes.IndexByte(job[1+len(prefix):], notInID) >= 0 {
		return nil, nil
	}
	at, known := slices.BinarySearchFunc(l.newest, job[1:len(job)-1], func(v *allocView, job []byte) int { return compareText(v.job, job) })
	if known && l.newest[at].index == index && l.newest[at].id == string(id[1:len(id)-1]) {
		return l.newest[at], nil
	}
	if _, owned := slices.BinarySearchFunc(jobs, job[1+len(prefix):len(job)-1], func(v jobView, id []byte) int { return compareText(v.id, id) }); !owned && hasEnded(clientStatus) {
		return nil, nil
	}
	alloc, err := parseAlloc(newCursor(stub), prefix)
	if err != nil || alloc == nil {
		return nil, err
	}
	return viewOfAlloc(alloc).kept(), nil
}

// notInID is in no server's ID. The hub's other jobs have it after the prefix, such as those that keep images and those of services.
const notInID = '_'

// compareText is strings.Compare without a copy.
func compareText(a string, b []byte) int {
	switch {
	case a == string(b):
		return 0
	case a < string(b):
		return -1
	}
	return 1
}

func hasEnded(clientStatus []byte) bool {
	return len(clientStatus) > 2 && isTerminal(string(clientStatus[1:len(clientStatus)-1]))
}

// indexOfTable asks for the index of one table, and for as little else as possible.
func (s *Scheduler) indexOfTable(ctx context.Context, table string) (uint64, error) {
	q := s.query(ctx)
	q.PerPage = 1
	var ignored []json.RawMessage
	meta, err := s.client.Raw().Query("/v1/"+table, &ignored, q)
	if err != nil {
		return 0, err
	}
	return meta.LastIndex, nil
}

// eachListed visits each element of a list that is not older than that index. It holds no more than one of them at a time: with 10,000 servers the list of allocations has
// 30 MB. The server that answers may have become the leader just now and not know of all changes yet; Nomad has it wait for them.
func (s *Scheduler) eachListed(ctx context.Context, path string, q *api.QueryOptions, index uint64, visit func(element []byte) error) error {
	q.WaitIndex, q.WaitTime = max(index, 1)-1, catchUp
	begun := time.Now()
	body, err := s.client.Raw().Response(path, uncompressed(q))
	if err != nil {
		return err
	}
	defer body.Close()
	if time.Since(begun) >= catchUp {
		return errBehind
	}
	if err = eachElement(body, visit); err == nil {
		_, _ = io.CopyN(io.Discard, body, 512) // to the end, so that the connection serves again
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// uncompressed has Nomad send its answer as it is: to compress it costs Nomad and the hub more than to send it to the next machine.
func uncompressed(q *api.QueryOptions) *api.QueryOptions {
	q.Headers = map[string]string{"Accept-Encoding": "identity"}
	return q
}

// eachElement visits each element of an array of objects. What visit gets is its own until it returns.
func eachElement(from io.Reader, visit func(element []byte) error) error {
	l := lister{from: from, buffer: make([]byte, 0, 64<<10)}
	switch next, err := l.next(); {
	case err != nil:
		return err
	case next == 'n': // null
		return nil
	case next != '[':
		return pull.ErrJSON
	}
	for l.at++; ; {
		switch next, err := l.next(); {
		case err != nil:
			return err
		case next == ']':
			return nil
		case next == ',':
			l.at++
			continue
		case next != '{':
			return pull.ErrJSON
		}
		element, err := l.object()
		if err != nil {
			return err
		}
		if err := visit(element); err != nil {
			return err
		}
	}
}

// lister reads objects one after the other through one buffer.
type lister struct {
	from   io.Reader
	buffer []byte
	at     int
}

// next returns the next character that is no white space, without passing it.
func (l *lister) next() (byte, error) {
	for {
		if l.at = pull.Space(l.buffer, l.at); l.at < len(l.buffer) {
			return l.buffer[l.at], nil
		}
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
}

// object passes the object that begins here.
func (l *lister) object() ([]byte, error) {
	for {
		end, err := pull.PastBrackets(l.buffer, l.at)
		if err == nil {
			element := l.buffer[l.at:end]
			l.at = end
			return element, nil
		}
		if err := l.fill(); err != nil { // it goes on
			return nil, err
		}
	}
}

// fill reads more behind what is not passed yet.
func (l *lister) fill() error {
	rest := copy(l.buffer, l.buffer[l.at:])
	l.buffer, l.at = l.buffer[:rest], 0
	if rest == cap(l.buffer) {
		if rest >= maxFrame {
			return errFrameTooLong
		}
		l.buffer = slices.Grow(l.buffer, rest)
	}
	n, err := io.ReadAtLeast(l.from, l.buffer[rest:cap(l.buffer)], 1)
	l.buffer = l.buffer[:rest+n]
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
