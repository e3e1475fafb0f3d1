-- The ledger of usage. It refers to no user and no server, since it outlives them; names are those of the time.

CREATE TABLE usage_runs (
    id          TEXT NOT NULL PRIMARY KEY,
    server_id   TEXT NOT NULL,
    server_name TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    user_name   TEXT NOT NULL,
    profile     TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    instance    TEXT NOT NULL,
    memory_mb   INTEGER NOT NULL,
    cores       REAL NOT NULL,
    devices     INTEGER NOT NULL,
    held        TEXT, -- JSON
    began       INTEGER NOT NULL,
    ended       INTEGER NOT NULL, -- 9223372036854775807 while it runs, so that one comparison finds what reaches into a period
    reason      TEXT NOT NULL,
    UNIQUE (server_id, generation, instance)
) STRICT;
CREATE INDEX usage_runs_ended ON usage_runs (ended);
CREATE INDEX usage_runs_user ON usage_runs (user_id, ended);

CREATE TABLE usage_run_groups (
    name   TEXT NOT NULL,
    run_id TEXT NOT NULL REFERENCES usage_runs (id) ON DELETE CASCADE,
    PRIMARY KEY (name, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_run_groups_run ON usage_run_groups (run_id);

-- Until when the ledger was compared with what runs: one row.
CREATE TABLE usage_clock (
    id   INTEGER PRIMARY KEY,
    seen INTEGER NOT NULL
) STRICT;
