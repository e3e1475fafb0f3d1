package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// transaction is a querier whose writes count once Commit is nil, and none of them after Rollback. After the first of the two the other does nothing.
type transaction interface {
	querier
	Commit() error
	Rollback() error
}

// begin begins a transaction on the connection that writes.
func (d *database) begin(ctx context.Context, level sql.IsolationLevel) (transaction, error) {
	if d.pool != nil {
		return d.pool.begin(ctx, level)
	}
	conn, err := d.writer.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &ownTx{standard: standard{conn}, Conn: conn, ctx: ctx, run: d.brief(ctx)}
	if _, err := conn.ExecContext(t.run, beginOwn); err != nil {
		_ = conn.Close() // it only goes back to the pool
		return nil, err
	}
	return t, nil
}

// brief is the context for a statement that takes microseconds. Where a context can be watched only by a goroutine for each statement, which costs more
// than the statement, the context is looked at before it and not while it runs.
func (d *database) brief(ctx context.Context) context.Context {
	if d.pool != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// beginOwn takes the write lock at once, so that no transaction loses against another.
const beginOwn = "BEGIN IMMEDIATE"

// ownTx is a transaction of SQLite's that is begun and ended by statements which the connection keeps prepared. The one of database/sql has a
// goroutine for itself and one for each of its queries, and the driver reads the text of BEGIN and of COMMIT anew each time.
type ownTx struct {
	standard
	*sql.Conn

	ctx  context.Context //nolint:containedctx // a transaction ends with its context, as the one of database/sql does
	run  context.Context //nolint:containedctx // the same, for statements that take microseconds
	over bool
}

// Commit implements transaction.
func (t *ownTx) Commit() error {
	if t.over {
		return sql.ErrTxDone
	}
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if _, err := t.ExecContext(t.run, "COMMIT"); err != nil {
		return err // Rollback follows
	}
	t.over = true
	_ = t.Close() // it only goes back to the pool
	return nil
}

// Rollback implements transaction.
func (t *ownTx) Rollback() error {
	if t.over {
		return nil
	}
	t.over = true
	_, err := t.ExecContext(t.run, "ROLLBACK")
	if err != nil && !t.idle() {
		// Whatever holds the connection up, nobody else shall begin within what was not undone.
		_ = t.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.Close() // it only goes back to the pool
	return err
}

// idle tells whether the connection is in no transaction, because SQLite ended it by itself, as it does when the disk is full.
func (t *ownTx) idle() bool {
	_, began := t.ExecContext(t.run, "BEGIN")
	if began != nil {
		return false
	}
	_, ended := t.ExecContext(t.run, "ROLLBACK")
	return ended == nil
}
