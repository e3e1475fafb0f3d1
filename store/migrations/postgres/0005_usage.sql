-- The ledger of usage. It refers to no user and no server, since it outlives them; names are those of the time.

CREATE TABLE usage_runs (
    id          TEXT COLLATE "C" PRIMARY KEY,
    server_id   TEXT COLLATE "C" NOT NULL,
    server_name TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    user_name   TEXT COLLATE "C" NOT NULL,
    profile     TEXT COLLATE "C" NOT NULL,
    generation  BIGINT NOT NULL,
    instance    TEXT COLLATE "C" NOT NULL,
    memory_mb   BIGINT NOT NULL,
    cores       DOUBLE PRECISION NOT NULL,
    devices     BIGINT NOT NULL,
    held        TEXT, -- JSON
    began       BIGINT NOT NULL,
    ended       BIGINT NOT NULL, -- 9223372036854775807 while it runs, so that one comparison finds what reaches into a period
    reason      TEXT NOT NULL,
    UNIQUE (server_id, generation, instance)
);
CREATE INDEX usage_runs_ended ON usage_runs (ended);
CREATE INDEX usage_runs_user ON usage_runs (user_id, ended);

CREATE TABLE usage_run_groups (
    name   TEXT COLLATE "C" NOT NULL,
    run_id TEXT COLLATE "C" NOT NULL REFERENCES usage_runs (id) ON DELETE CASCADE,
    PRIMARY KEY (name, run_id)
);
CREATE INDEX usage_run_groups_run ON usage_run_groups (run_id);

-- Until when the ledger was compared with what runs: one row.
CREATE TABLE usage_clock (
    id   BIGINT PRIMARY KEY,
    seen BIGINT NOT NULL
);
