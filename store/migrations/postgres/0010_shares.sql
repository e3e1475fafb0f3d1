-- Whom the owner of a server lets use it, and the codes by which others may join.

CREATE TABLE shares (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_id TEXT COLLATE "C" NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    user_id   TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    group_id  BIGINT REFERENCES groups (id) ON DELETE CASCADE,
    scopes    TEXT NOT NULL, -- JSON array, each limited to the server
    created   BIGINT,
    CHECK ((user_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX shares_user ON shares (user_id, server_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX shares_group ON shares (group_id, server_id) WHERE group_id IS NOT NULL;
CREATE INDEX shares_server ON shares (server_id);

CREATE TABLE share_codes (
    id             BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_id      TEXT COLLATE "C" NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    hash           BYTEA NOT NULL UNIQUE,
    scopes         TEXT NOT NULL, -- JSON array
    created        BIGINT,
    expires        BIGINT NOT NULL,
    exchange_count BIGINT NOT NULL,
    last_exchanged BIGINT
);
CREATE INDEX share_codes_server ON share_codes (server_id);
CREATE INDEX share_codes_expires ON share_codes (expires);
