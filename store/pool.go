package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pool runs statements on connections to Postgres, without database/sql between: with it, what looks at one row took a quarter more. See decision 40.
type pool struct {
	*pgxpool.Pool
	prepares bool // statements are kept prepared, which the URL of a database behind some poolers forbids
}

func newPool(opened *pgxpool.Pool) *pool {
	return &pool{opened, opened.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement}
}

// connAttempts is how many connections a statement is tried on that turn out to be broken before any of it was sent.
const connAttempts = 3

// onConn does something with a connection of the pool, and with another one if that was broken already.
func (p *pool) onConn(ctx context.Context, do func(c *pgxpool.Conn) error) error {
	for attempt := 1; ; attempt++ {
		c, err := p.Acquire(ctx)
		if err == nil {
			err = do(c)
		}
		if err == nil || attempt == connAttempts || !pgconn.SafeToRetry(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (p *pool) exec(ctx context.Context, query string, args []any) (touched int64, err error) {
	err = p.onConn(ctx, func(c *pgxpool.Conn) error {
		defer c.Release()
		var err error
		touched, err = p.execOn(ctx, c, query, args)
		return err
	})
	return touched, err
}

// execOn runs a statement as it is kept prepared, with arguments as text, which takes less than to have pgx find out how to write each.
func (p *pool) execOn(ctx context.Context, c *pgxpool.Conn, query string, args []any) (int64, error) {
	var as encoded
	// Without arguments it may be several statements, which cannot be prepared.
	if !p.prepares || len(args) == 0 || !as.set(args) {
		done, err := c.Exec(ctx, query, args...)
		return done.RowsAffected(), err
	}
	known, err := prepare(ctx, c, query)
	if err != nil {
		return 0, err
	}
	done, err := c.Conn().PgConn().ExecStatement(ctx, known, as.values, as.formats, nil).Close()
	return done.RowsAffected(), err
}

// prepare returns a statement that the connection keeps. The database is asked only the first time.
func prepare(ctx context.Context, c *pgxpool.Conn, query string) (*pgconn.StatementDescription, error) {
	return c.Conn().Prepare(ctx, query, query)
}

// encoded are arguments as the database takes them, bytes as they are and all else as text.
type encoded struct {
	values  [][]byte
	formats []int16
	text    []byte // in which values are that are no bytes
}

// set puts other arguments in their place, in the same memory. It is not ok if there is one of another type than the store's own values have.
func (e *encoded) set(args []any) (ok bool) {
	if e.text == nil {
		e.text = []byte{} // an empty text within it is one, and no NULL
	}
	e.values, e.formats, e.text = e.values[:0], e.formats[:0], e.text[:0]
	for _, arg := range args {
		value, format := []byte(nil), int16(pgx.TextFormatCode)
		if raw, isRaw := arg.([]byte); isRaw {
			value, format = raw, pgx.BinaryFormatCode
		} else if arg != nil {
			begin := len(e.text)
			if e.text, ok = appendText(e.text, arg); !ok {
				return false
			}
			value = e.text[begin:]
		}
		e.values, e.formats = append(e.values, value), append(e.formats, format)
	}
	return true
}

func appendText(text []byte, v any) (longer []byte, ok bool) {
	switch v := v.(type) {
	case string:
		return append(text, v...), true
	case bool:
		return strconv.AppendBool(text, v), true
	case int:
		return strconv.AppendInt(text, int64(v), 10), true
	case int64:
		return strconv.AppendInt(text, v, 10), true
	}
	return text, false
}

func (p *pool) query(ctx context.Context, query string, args []any) (found rows, err error) {
	err = p.onConn(ctx, func(c *pgxpool.Conn) error {
		r, err := c.Query(ctx, query, asText(args)...)
		if err != nil {
			c.Release()
			return err
		}
		found = &poolRows{Rows: r, done: func() error { c.Release(); return nil }}
		return nil
	})
	return found, err
}

// textFormats asks for all columns as text, so that a row is read like one of SQLite's, but for those of bytes.
var textFormats = pgx.QueryResultFormatsByOID{pgtype.ByteaOID: pgx.BinaryFormatCode}

// asText puts textFormats before the arguments of a query, where pgx looks for such options.
func asText(args []any) []any {
	return append(append(make([]any, 0, len(args)+1), textFormats), args...)
}

// poolRows are rows with what is to be done when they have been read.
type poolRows struct {
	pgx.Rows
	done func() error // may be nil
}

// scanner implements rows. It reads columns by readColumn where it can, which takes less than to have pgx find out how to read each column into what.
func (r *poolRows) scanner() (scanner, error) {
	for _, f := range r.FieldDescriptions() {
		if f.Format != textFormats[f.DataTypeOID] { // a transaction's first, which cannot say how it wants its columns
			return r.Scan, nil
		}
	}
	var row textRow
	known := false
	return func(dest ...any) error {
		if !known && slices.ContainsFunc(dest, unreadable) { // all rows have the same destinations
			return r.Scan(dest...)
		}
		known = true
		row.set(r.RawValues())
		return row.read(dest)
	}, nil
}

// Close implements rows.
func (r *poolRows) Close() error {
	r.Rows.Close()
	if r.done == nil {
		return nil
	}
	done := r.done
	r.done = nil
	return done()
}

// isolations is how a transaction is begun.
var isolations = map[sql.IsolationLevel]string{
	sql.LevelDefault: "BEGIN", sql.LevelReadCommitted: "BEGIN ISOLATION LEVEL READ COMMITTED", sql.LevelSerializable: "BEGIN ISOLATION LEVEL SERIALIZABLE",
}

// begin takes a connection for a transaction, which begins with its first statement.
func (p *pool) begin(ctx context.Context, level sql.IsolationLevel) (transaction, error) {
	text, ok := isolations[level]
	if !ok {
		return nil, fmt.Errorf("no transaction is isolated by the level %v", level)
	}
	c, err := p.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &poolTx{pool: p, conn: c, ctx: ctx, due: text}, nil
}

// poolTx is a transaction on a connection. It is begun along with its first statement, which saves one of its journeys.
type poolTx struct {
	pool *pool
	conn *pgxpool.Conn
	ctx  context.Context //nolint:containedctx // a transaction ends with its context, as the one of database/sql does
	due  string          // what begins it; "": it has begun
	over bool
}

func (t *poolTx) exec(ctx context.Context, query string, args []any) (int64, error) {
	if t.over {
		return 0, sql.ErrTxDone
	}
	if t.due != "" && len(args) > 0 {
		sent := t.sendFirst(ctx, query, args)
		_, err := sent.Exec()
		var done pgconn.CommandTag
		if err == nil {
			done, err = sent.Exec()
		}
		if closed := sent.Close(); err == nil {
			err = closed
		}
		return done.RowsAffected(), err
	}
	if t.due != "" { // it may be several statements, which cannot go with another
		if err := t.start(ctx); err != nil {
			return 0, err
		}
	}
	return t.pool.execOn(ctx, t.conn, query, args)
}

func (t *poolTx) query(ctx context.Context, query string, args []any) (rows, error) {
	if t.over {
		return nil, sql.ErrTxDone
	}
	if t.due == "" {
		found, err := t.conn.Query(ctx, query, asText(args)...)
		if err != nil {
			return nil, err
		}
		return &poolRows{Rows: found}, nil
	}
	sent := t.sendFirst(ctx, query, args)
	_, err := sent.Exec()
	var found pgx.Rows
	if err == nil {
		found, err = sent.Query()
	}
	if err != nil {
		_ = sent.Close() // the same error
		return nil, err
	}
	return &poolRows{Rows: found, done: sent.Close}, nil
}

// start begins the transaction by itself.
func (t *poolTx) start(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, t.due)
	t.due = ""
	return err
}

// sendFirst sends what begins the transaction, and the statement.
func (t *poolTx) sendFirst(ctx context.Context, query string, args []any) pgx.BatchResults {
	var batch pgx.Batch
	batch.Queue(t.due)
	batch.Queue(query, args...)
	t.due = ""
	return t.conn.SendBatch(ctx, &batch)
}

// Commit implements transaction.
func (t *poolTx) Commit() error {
	if t.over {
		return sql.ErrTxDone
	}
	if err := t.ctx.Err(); err != nil {
		return err // Rollback follows
	}
	if t.due == "" {
		done, err := t.conn.Exec(t.ctx, "COMMIT")
		if err == nil && done.String() != "COMMIT" { // a statement had failed, whatever was made of it
			err = pgx.ErrTxCommitRollback
		}
		if err != nil {
			return err
		}
	}
	t.over = true
	t.conn.Release()
	return nil
}

// rollbackPatience is how long a transaction is waited for that is to be undone. After it the connection is closed, which undoes it too.
const rollbackPatience = 5 * time.Second

// Rollback implements transaction.
func (t *poolTx) Rollback() error {
	if t.over {
		return nil
	}
	t.over = true
	defer t.conn.Release() // which closes what is still in a transaction
	if t.due != "" || t.conn.Conn().IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackPatience)
	defer cancel()
	_, err := t.conn.Exec(ctx, "ROLLBACK")
	return err
}
