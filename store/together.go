package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lookups reads rows by their keys. Most of what one takes is the journey to Postgres and back, so those that are asked for while others are under way travel together, on one
// connection. None begins before it was asked for, so each sees what was written until then, as it would alone. See decision 41.
type lookups struct {
	pool  *pool
	lanes int // how many journeys may be under way at once

	mu      sync.Mutex
	busy    int // lanes in use
	waiting []*looking
}

const (
	// maxTogether is how many travel together at most: who comes back first waits for the last.
	maxTogether = 32
	// maxJourneys is how many are made on one connection before it goes back to the pool, which looks after connections.
	maxJourneys = 100
	// journeyPatience is how long a journey may take, whoever waits for it.
	journeyPatience = 5 * time.Second
	// lookingPatience is how long somebody waits for a journey before asking alone: a statement before theirs may be held up by what theirs has nothing to do with.
	lookingPatience = 250 * time.Millisecond
)

// newLookups is where lookups go that are asked on connections of the pool. It is the pool itself where statements are not kept prepared, which travelling together needs.
func newLookups(p *pool) querier {
	if !p.prepares {
		return p
	}
	return &lookups{pool: p, lanes: max(1, runtime.GOMAXPROCS(0)/2)} //nolint:mnd // the other half is for what comes of them
}

// looking is a lookup, from when it is asked for until its rows are there.
type looking struct {
	query   string
	values  [][]byte
	formats []int16
	found   *textRows     // nil: it failed, for whatever reason
	done    chan struct{} // of room for one: says that found is set, or that it failed
	wait    *time.Timer   // for how long it waits for a journey
}

// idleLookings are those whose rows have come: most of what one is made of can be used again.
var idleLookings = sync.Pool{New: func() any {
	wait := time.NewTimer(lookingPatience)
	wait.Stop()
	return &looking{done: make(chan struct{}, 1), wait: wait}
}}

// exec is not for lookups.
func (l *lookups) exec(ctx context.Context, query string, args []any) (int64, error) {
	return l.pool.exec(ctx, query, args)
}

func (l *lookups) query(ctx context.Context, query string, args []any) (rows, error) {
	values, formats, ok := encoded(args)
	if !ok {
		return l.pool.query(ctx, query, args)
	}
	mine, _ := idleLookings.Get().(*looking)
	mine.query, mine.values, mine.formats = query, values, formats
	mine.wait.Reset(lookingPatience)
	l.join(mine)
	select {
	case <-mine.done:
		found := mine.found
		mine.wait.Stop()
		mine.values, mine.formats, mine.found = nil, nil, nil
		idleLookings.Put(mine)
		if found != nil {
			return found, nil
		}
	case <-mine.wait.C: // a journey may still come for it, so it is not used again
	case <-ctx.Done():
		mine.wait.Stop()
		return nil, ctx.Err()
	}
	return l.pool.query(ctx, query, args) // alone it gets an error of its own, or none
}

// end tells whoever asked that no more will come.
func (mine *looking) end() { mine.done <- struct{}{} }

// join has the lookup go along with the next journey, which begins now if there is a lane.
func (l *lookups) join(mine *looking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, mine)
	if l.busy < l.lanes {
		l.busy++
		go l.travel()
	}
}

// next returns those who go along with the next journey; nil: nobody waits, and the lane is free again. Before, it lets those go on who can: of requests that came in
// together, most are about to ask, too.
func (l *lookups) next() []*looking {
	runtime.Gosched()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.busy--
		return nil
	}
	n := min(len(l.waiting), maxTogether)
	all := l.waiting[:n:n]
	l.waiting = l.waiting[n:]
	return all
}

// travel makes journeys on one lane until nobody waits.
func (l *lookups) travel() {
	for all := l.next(); all != nil; {
		all = l.ride(all)
	}
}

// ride makes journeys on one connection, the first for those given, and returns those for whom the next one is, on another connection; nil: nobody waits.
func (l *lookups) ride(all []*looking) []*looking {
	ctx, cancel := context.WithTimeout(context.Background(), journeyPatience)
	defer cancel()
	c, err := l.pool.Acquire(ctx)
	if err != nil {
		endAll(all)
		return l.next()
	}
	defer c.Release()
	under := c.Conn().PgConn().Conn()
	for range maxJourneys {
		err := under.SetDeadline(time.Now().Add(journeyPatience)) // a context for each would cost far more
		left := all
		if err == nil {
			left, err = together(c, all)
		}
		endAll(left)
		if err != nil {
			_ = c.Conn().Close(ctx) // what it has prepared may be what failed
			return l.next()
		}
		if all = l.next(); all == nil {
			break
		}
	}
	if err := under.SetDeadline(time.Time{}); err != nil {
		_ = c.Conn().Close(ctx)
	}
	return all
}

func endAll(left []*looking) {
	for _, mine := range left {
		mine.end()
	}
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
		batch.ExecStatement(known, mine.values, mine.formats, formatsOf(known.Fields))
	}
	left = all
	results := c.Conn().PgConn().ExecBatch(ctx, &batch)
	for len(left) > 0 && results.NextResult() {
		found, err := readAll(results.ResultReader())
		if err != nil {
			break // Close says why
		}
		left[0].found = found
		left[0].end()
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

// textRows are rows that have been read.
type textRows struct {
	rows []textRow
	next int // which row comes next; the present one is before it
}

// readAll reads the rows of a result to their end.
func readAll(r *pgconn.ResultReader) (*textRows, error) {
	found := &textRows{}
	for r.NextRow() {
		var row textRow
		row.set(r.Values())
		found.rows = append(found.rows, row)
	}
	_, err := r.Close()
	return found, err
}

// Next implements rows.
func (r *textRows) Next() bool {
	if r.next == len(r.rows) {
		return false
	}
	r.next++
	return true
}

// scanner implements rows.
func (r *textRows) scanner() (scanner, error) {
	return func(dest ...any) error { return r.rows[r.next-1].read(dest) }, nil
}

// Err implements rows: what has been read was read to its end.
func (r *textRows) Err() error { return nil }

// Close implements rows.
func (r *textRows) Close() error { return nil }
