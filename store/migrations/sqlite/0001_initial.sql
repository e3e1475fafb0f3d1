-- The first schema. Times are microseconds since 1970 in UTC, NULL for none. Booleans are 0 and 1.

CREATE TABLE users (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    name_folded   TEXT NOT NULL, -- lower case by the rules of Unicode, for searches
    admin         INTEGER NOT NULL,
    created       INTEGER,
    last_activity INTEGER
) STRICT;
CREATE INDEX users_last_activity ON users (last_activity, id);

CREATE TABLE groups (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE group_members (
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_group ON group_members (group_id);

CREATE TABLE identities (
    provider TEXT NOT NULL,
    subject  TEXT NOT NULL,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (provider, subject),
    UNIQUE (user_id, provider)
) STRICT;

CREATE TABLE sessions (
    id         TEXT NOT NULL PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    browser_id TEXT NOT NULL,
    provider   TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created    INTEGER,
    last_seen  INTEGER,
    expires    INTEGER
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE servers (
    id            TEXT NOT NULL PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT NOT NULL, -- '' for the default server
    state         TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    created       INTEGER,
    started       INTEGER,
    last_activity INTEGER,
    options       TEXT, -- JSON as it came
    instance      TEXT NOT NULL,
    address       TEXT NOT NULL,
    placement     INTEGER NOT NULL,
    failure       TEXT, -- JSON
    remove        INTEGER NOT NULL,
    UNIQUE (user_id, name)
) STRICT;
-- The columns that the list of users asks for, so that it need not read the rows.
CREATE INDEX servers_state ON servers (state, user_id);

CREATE TABLE oauth_clients (
    id             TEXT NOT NULL PRIMARY KEY,
    secret_hash    BLOB,
    redirect_uri   TEXT NOT NULL,
    server_id      TEXT REFERENCES servers (id) ON DELETE CASCADE,
    description    TEXT NOT NULL,
    allowed_scopes TEXT NOT NULL -- JSON array
) STRICT;
CREATE INDEX oauth_clients_server ON oauth_clients (server_id);

CREATE TABLE oauth_codes (
    hash           BLOB NOT NULL PRIMARY KEY,
    client_id      TEXT NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    user_id        TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    browser_id     TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    scopes         TEXT NOT NULL, -- JSON array
    challenge      TEXT NOT NULL,
    challenge_type TEXT NOT NULL,
    expires        INTEGER
) STRICT;
CREATE INDEX oauth_codes_client ON oauth_codes (client_id);
CREATE INDEX oauth_codes_user ON oauth_codes (user_id);
CREATE INDEX oauth_codes_expires ON oauth_codes (expires);

-- AUTOINCREMENT: a token's ID is never given to another one, as people note them down.
CREATE TABLE tokens (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash          BLOB NOT NULL UNIQUE,
    client_id     TEXT REFERENCES oauth_clients (id) ON DELETE CASCADE,
    browser_id    TEXT,
    server_id     TEXT REFERENCES servers (id) ON DELETE CASCADE,
    scopes        TEXT NOT NULL, -- JSON array
    note          TEXT NOT NULL,
    created       INTEGER,
    last_activity INTEGER,
    expires       INTEGER
) STRICT;
CREATE INDEX tokens_user ON tokens (user_id, browser_id);
CREATE INDEX tokens_client ON tokens (client_id);
CREATE INDEX tokens_server ON tokens (server_id);
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE leases (
    name    TEXT NOT NULL PRIMARY KEY,
    holder  TEXT NOT NULL, -- '' once it was given back; the row stays, so that the fence goes on rising
    fence   INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
