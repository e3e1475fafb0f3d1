-- Whom the owner of a server lets use it, and the codes by which others may join.

CREATE TABLE shares (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    server_id TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    user_id   TEXT REFERENCES users (id) ON DELETE CASCADE,
    group_id  INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    scopes    TEXT NOT NULL, -- JSON array, each limited to the server
    created   INTEGER,
    CHECK ((user_id IS NULL) <> (group_id IS NULL))
) STRICT;
CREATE UNIQUE INDEX shares_user ON shares (user_id, server_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX shares_group ON shares (group_id, server_id) WHERE group_id IS NOT NULL;
CREATE INDEX shares_server ON shares (server_id);

CREATE TABLE share_codes (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    server_id      TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    hash           BLOB NOT NULL UNIQUE,
    scopes         TEXT NOT NULL, -- JSON array
    created        INTEGER,
    expires        INTEGER NOT NULL,
    exchange_count INTEGER NOT NULL,
    last_exchanged INTEGER
) STRICT;
CREATE INDEX share_codes_server ON share_codes (server_id);
CREATE INDEX share_codes_expires ON share_codes (expires);
