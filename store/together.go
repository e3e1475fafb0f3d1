package store

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lookups reads rows by their keys. Most of what one takes is the journey to Postgres and back, so those that are asked for while others are under way travel together, on one
// connection. None begins before it was asked for, so each sees what was written until then, as it would alone. See decision 41.
type lookups struct {
	pool *pool

	mu      sync.Mutex
	idle    []*lane // on which no journey is under way
	waiting []*looking
}

const (
	// maxTogether is how many travel together at most: who comes back first waits for the last.
	maxTogether = 32
	// maxJourneys is how many are made on one connection before it goes back to the pool, which looks after connections.
	maxJourneys = 100
	// journeyPatience is how long a journey may take, or a second more, whoever waits for it.
	journeyPatience = 5 * time.Second
	// lookingPatience is after how long those who wait for a journey ask alone, at twice the time at the latest: a statement before theirs may be held up by what theirs has
	// nothing to do with.
	lookingPatience = 200 * time.Millisecond
)

// newLookups is where lookups go that are asked on connections of the pool. It is the pool itself where statements are not kept prepared, which travelling together needs.
func newLookups(p *pool) querier {
	if !p.prepares {
		return p
	}
	l := &lookups{pool: p}
	for range max(1, runtime.GOMAXPROCS(0)/2) { //nolint:mnd // the other half is for what comes of them
		l.idle = append(l.idle, &lane{of: l})
	}
	return l
}

// exec is not for lookups.
func (l *lookups) exec(ctx context.Context, query string, args []any) (int64, error) {
	return l.pool.exec(ctx, query, args)
}

// query does not look whether ctx ends while it waits, which takes longer than to wait: that is over soon.
func (l *lookups) query(ctx context.Context, query string, args []any) (rows, error) {
	mine, _ := idleLookings.Get().(*looking)
	if !mine.ask(query, args) {
		idleLookings.Put(mine)
		return l.pool.query(ctx, query, args)
	}
	l.join(mine)
	if came := <-mine.done; came {
		return mine, nil
	}
	return l.pool.query(ctx, query, args) // alone it gets an error of its own, or none
}

// join has the lookup go along with the next journey, which begins now if there is a lane.
func (l *lookups) join(mine *looking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, mine)
	if last := len(l.idle) - 1; last >= 0 {
		free := l.idle[last]
		l.idle = l.idle[:last]
		go free.travel()
	}
}

// lane makes one journey after the other.
type lane struct {
	of *lookups

	// What is below is guarded by the lock of the lookups.
	aboard   []*looking // of the journey that is under way; nil: there is none
	room     [maxTogether]*looking
	journeys uint64 // how many have begun
	seen     uint64 // how many had when it was last looked whether one takes long
	watch    *time.Timer
}

// travel makes journeys until nobody waits.
func (a *lane) travel() {
	for all := a.next(); all != nil; {
		all = a.ride(all)
	}
}

// next returns those who go along with the next journey; nil: nobody waits, and the lane is idle again. Before, it lets those go on who can: of requests that came in
// together, most are about to ask, too.
func (a *lane) next() []*looking {
	runtime.Gosched()
	l := a.of
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), maxTogether)
	if n == 0 {
		a.aboard = nil
		l.idle = append(l.idle, a)
		return nil
	}
	a.aboard = append(a.room[:0], l.waiting[:n]...)
	l.waiting = slices.Delete(l.waiting, 0, n)
	a.journeys++
	if a.watch == nil {
		a.watch = time.AfterFunc(lookingPatience, a.hurry)
	}
	return a.aboard
}

// hurry looks again and again whether a journey is under way that was so the last time, too. Then it has all ask alone who are aboard or wait.
func (a *lane) hurry() {
	l := a.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.aboard == nil {
		a.watch = nil
		return
	}
	if a.seen == a.journeys {
		tellAll(a.aboard, false)
		tellAll(l.waiting, false)
		l.waiting = nil
	}
	a.seen = a.journeys
	a.watch.Reset(lookingPatience)
}

// ride makes journeys on one connection, the first for those given, and returns those for whom the next one is, on another connection; nil: nobody waits.
func (a *lane) ride(all []*looking) []*looking {
	ctx, cancel := context.WithTimeout(context.Background(), journeyPatience)
	defer cancel()
	c, err := a.of.pool.Acquire(ctx)
	if err != nil {
		tellAll(all, false)
		return a.next()
	}
	defer c.Release()
	under := c.Conn().PgConn().Conn()
	var due time.Time
	for range maxJourneys {
		var err error
		if now := time.Now(); due.Sub(now) < journeyPatience { // anew for each would cost more, and a context for each far more
			due = now.Add(journeyPatience + time.Second)
			err = under.SetDeadline(due)
		}
		left := all
		if err == nil {
			left, err = together(c, all)
		}
		tellAll(left, false)
		if err != nil {
			_ = c.Conn().Close(ctx) // what it has prepared may be what failed
			return a.next()
		}
		if all = a.next(); all == nil {
			break
		}
	}
	if err := under.SetDeadline(time.Time{}); err != nil {
		_ = c.Conn().Close(ctx)
	}
	return all
}

// together asks for all of them on one connection, in one message, and returns those whose rows did not come: they are asked for alone.
func together(c *pgxpool.Conn, all []*looking) (left []*looking, err error) {
	ctx := context.Background() // the connection has a deadline
	var batch pgconn.Batch
	for _, mine := range all {
		known, err := prepare(ctx, c, mine.query)
		if err != nil {
			return all, err
		}
		batch.ExecStatement(known, mine.args.values, mine.args.formats, formatsOf(known.Fields))
	}
	left = all
	results := c.Conn().PgConn().ExecBatch(ctx, &batch)
	for len(left) > 0 && results.NextResult() {
		if left[0].readAll(results.ResultReader()) != nil {
			break // Close says why
		}
		left[0].tell(true)
		left = left[1:]
	}
	if err = results.Close(); err == nil && len(left) > 0 {
		err = errors.New("lookups without a result")
	}
	return left, err
}

// formatsOf asks for columns as [textFormats] does; nil: all as text.
func formatsOf(fields []pgconn.FieldDescription) (formats []int16) {
	for i, f := range fields {
		format := textFormats[f.DataTypeOID] // text for types that are not in it
		if format != pgx.TextFormatCode && formats == nil {
			formats = make([]int16, len(fields))
		}
		if formats != nil {
			formats[i] = format
		}
	}
	return formats
}

// looking is a lookup, from when it is asked for until its rows have been read. What it is made of is used again, unless its rows did not come: then somebody may still come
// with them.
type looking struct {
	query string
	args  encoded
	told  atomic.Bool
	done  chan bool // of room for one: whether its rows are there. If not, whoever wants them is to ask alone

	found []textRow
	rows  int // how many of those there are
	next  int // which of them comes next; the present one is before it
}

// idleLookings are those whose rows have been read.
var idleLookings = sync.Pool{New: func() any { return &looking{done: make(chan bool, 1)} }}

// ask sets what is asked. It is false if there is an argument that only the pool can bring.
func (mine *looking) ask(query string, args []any) bool {
	mine.query = query
	mine.told.Store(false)
	return mine.args.set(args)
}

// tell tells whoever asked whether the rows are there. Only the first word counts.
func (mine *looking) tell(came bool) {
	if mine.told.CompareAndSwap(false, true) {
		mine.done <- came
	}
}

func tellAll(all []*looking, came bool) {
	for _, mine := range all {
		mine.tell(came)
	}
}

// readAll reads the rows of a result to their end.
func (mine *looking) readAll(r *pgconn.ResultReader) error {
	mine.rows, mine.next = 0, 0
	for r.NextRow() {
		if mine.rows == len(mine.found) {
			mine.found = append(mine.found, textRow{})
		}
		mine.found[mine.rows].set(r.Values())
		mine.rows++
	}
	_, err := r.Close()
	return err
}

// Next implements rows.
func (mine *looking) Next() bool {
	if mine.next == mine.rows {
		return false
	}
	mine.next++
	return true
}

// scanner implements rows.
func (mine *looking) scanner() (scanner, error) {
	return func(dest ...any) error { return mine.found[mine.next-1].read(dest) }, nil
}

// Err implements rows: what has been read was read to its end.
func (mine *looking) Err() error { return nil }

// Close implements rows. It is called once.
func (mine *looking) Close() error {
	for i := range mine.rows {
		mine.found[i].text = "" // what was read is not kept
	}
	idleLookings.Put(mine)
	return nil
}
