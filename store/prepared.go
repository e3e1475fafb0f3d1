package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// maxPrepared bounds how many statements one connection keeps. The hub has about two hundred texts.
const maxPrepared = 256

// preparing opens connections that keep what they have prepared: SQLite takes longer to read most of our statements than to run them.
// database/sql could keep them too, but inside a transaction only those that were prepared outside of one, on the same connection, and
// the only connection that writes is in a transaction when most are needed. pgx does the same by itself.
type preparing struct{ driver.Connector }

// rawConn is what SQLite's driver can do beyond the least.
type rawConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// rawStmt is a statement of that driver.
type rawStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

var errOtherDriver = errors.New("the SQLite driver lacks what the store needs of it")

// Connect implements [driver.Connector].
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	raw, ok := opened.(rawConn)
	if !ok {
		return nil, errors.Join(errOtherDriver, opened.Close())
	}
	return &preparedConn{rawConn: raw, known: make(map[string]*prepared)}, nil
}

// preparedConn is a connection with its statements. One goroutine at a time uses it, as of all connections.
type preparedConn struct {
	rawConn
	known map[string]*prepared // by text
}

// prepared is a statement that is run again and again.
type prepared struct {
	rawStmt
	busy bool // its rows are being read, so it cannot be run
}

// ExecContext implements [driver.ExecerContext].
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	p, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	defer c.give(query, p)
	return p.ExecContext(ctx, args)
}

// QueryContext implements [driver.QueryerContext].
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := p.QueryContext(ctx, args)
	if err != nil {
		c.give(query, p)
		return nil, err
	}
	return &preparedRows{Rows: rows, done: func() { c.give(query, p) }}, nil
}

// take returns a statement that nobody else runs. It is given back.
func (c *preparedConn) take(ctx context.Context, query string) (*prepared, error) {
	if p := c.known[query]; p != nil && !p.busy {
		p.busy = true
		return p, nil
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	raw, ok := stmt.(rawStmt)
	if !ok {
		return nil, errors.Join(errOtherDriver, stmt.Close())
	}
	return &prepared{rawStmt: raw, busy: true}, nil
}

// give keeps a statement for the next time, unless there is one already.
func (c *preparedConn) give(query string, p *prepared) {
	p.busy = false
	if known := c.known[query]; known == p {
		return
	} else if known != nil || c.known == nil {
		_ = p.Close() // it cannot fail: it has run
		return
	}
	if len(c.known) >= maxPrepared {
		c.forgetOne()
	}
	c.known[query] = p
}

// forgetOne closes any of the statements: there are never so many unless texts are made up as we go, and those are equally unlikely to come again.
func (c *preparedConn) forgetOne() {
	for query, p := range c.known {
		if !p.busy {
			delete(c.known, query)
			_ = p.Close()
			return
		}
	}
}

// Close implements [driver.Conn].
func (c *preparedConn) Close() error {
	var errs []error
	for _, p := range c.known {
		errs = append(errs, p.Close())
	}
	c.known = nil
	if err := errors.Join(append(errs, c.rawConn.Close())...); err != nil {
		return fmt.Errorf("close a connection to SQLite: %w", err)
	}
	return nil
}

// preparedRows gives the statement back when all was read.
type preparedRows struct {
	driver.Rows
	done func()
}

// Close implements [driver.Rows].
func (r *preparedRows) Close() error {
	err := r.Rows.Close()
	if r.done != nil {
		r.done()
		r.done = nil
	}
	return err
}
