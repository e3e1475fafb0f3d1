package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// defaultMaxConns bounds the pool; a hub's queries take well under a millisecond each.
	defaultMaxConns = 16
	// connectTimeout ends an attempt to connect, unless the data source name says otherwise.
	connectTimeout = 5 * time.Second
	// limitIdleTransaction makes the server end a transaction whose hub is frozen, so that its locks do not hold up the others.
	limitIdleTransaction = "SET idle_in_transaction_session_timeout = '15s'"
)

// dialectPostgres returns what is particular to Postgres.
func dialectPostgres() dialect {
	return dialect{
		name:     "postgres",
		elements: "json_array_elements",
		array:    "json_agg",
		nests:    true,
		position: "strpos",
		now:      "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
		// Any number will do, as long as all versions of NomadHub use the same.
		lockSchema: "SELECT pg_advisory_xact_lock(7813425690113371)",
		lockNamed:  "SELECT pg_advisory_xact_lock($1)",
		hasTable:   "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = $1",
		isolation:  sql.LevelSerializable,
		classify:   classifyPostgres,
	}
}

func classifyPostgres(err error) fault {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return classifyConnection(err)
	}
	switch pe.Code {
	case "23505": // unique_violation
		return faultExists
	case "23503": // foreign_key_violation
		return faultMissing
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return faultRetry
	case "25006", "25P03": // read_only_sql_transaction (a standby), idle_in_transaction_session_timeout
		return faultAway
	}
	switch pe.Code[:min(2, len(pe.Code))] {
	case "08", "28", "3D", "53", "57", "58":
		// Connection, login (credentials are being changed), no such database (yet), resources, operator (shutdown, start), system.
		return faultAway
	}
	return faultOther
}

// classifyConnection tells whether the driver failed to reach the server or lost it.
func classifyConnection(err error) fault {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return faultAway
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return faultAway
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) {
		return faultAway
	}
	return faultOther
}

// openPostgres prepares a pool; it connects when the first query comes, so that a hub can start before its database.
func openPostgres(ctx context.Context, opts Options) (*database, error) {
	cfg, err := pgxpool.ParseConfig(opts.DSN)
	if err != nil {
		return nil, fmt.Errorf("read the database URL: %w", err) // pgx leaves the password out
	}
	if opts.MaxConns > 0 || !strings.Contains(opts.DSN, "pool_max_conns=") {
		cfg.MaxConns = int32(min(cmp.Or(opts.MaxConns, defaultMaxConns), 10_000))
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "nomadhub"
	}
	cfg.PingTimeout = connectTimeout
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > time.Second || hasNews(p.Conn.PgConn().Conn())
	}
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		// Not a start-up parameter, because poolers such as PgBouncer refuse those that they do not know.
		_, err := conn.Exec(ctx, limitIdleTransaction)
		return err
	}
	opened, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the database pool: %w", err)
	}
	return &database{dialect: dialectPostgres(), pool: newPool(opened)}, nil
}
