-- The first schema. Times are microseconds since 1970 in UTC, NULL for none. Text that is sorted or looked up has the
-- collation "C", so that order and equality are by bytes, whatever the database was created with, as they are in SQLite.

CREATE TABLE users (
    id            TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL UNIQUE,
    name_folded   TEXT COLLATE "C" NOT NULL, -- lower case by the rules of Unicode, for searches
    admin         BOOLEAN NOT NULL,
    created       BIGINT,
    last_activity BIGINT
);
CREATE INDEX users_last_activity ON users (last_activity NULLS FIRST, id);

CREATE TABLE groups (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE group_members (
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id BIGINT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX group_members_group ON group_members (group_id);

CREATE TABLE identities (
    provider TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    user_id  TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (provider, subject),
    UNIQUE (user_id, provider)
);

CREATE TABLE sessions (
    id         TEXT COLLATE "C" PRIMARY KEY,
    user_id    TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    browser_id TEXT COLLATE "C" NOT NULL,
    provider   TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created    BIGINT,
    last_seen  BIGINT,
    expires    BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE servers (
    id            TEXT COLLATE "C" PRIMARY KEY,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT COLLATE "C" NOT NULL, -- '' for the default server
    state         TEXT COLLATE "C" NOT NULL,
    generation    BIGINT NOT NULL,
    revision      BIGINT NOT NULL,
    created       BIGINT,
    started       BIGINT,
    last_activity BIGINT,
    options       TEXT, -- JSON as it came: JSONB would reorder keys and refuse some strings
    instance      TEXT NOT NULL,
    address       TEXT NOT NULL,
    placement     BIGINT NOT NULL,
    failure       TEXT, -- JSON
    remove        BOOLEAN NOT NULL,
    UNIQUE (user_id, name)
);
-- The columns that the list of users asks for, so that it need not read the rows.
CREATE INDEX servers_state ON servers (state, user_id);

CREATE TABLE oauth_clients (
    id             TEXT COLLATE "C" PRIMARY KEY,
    secret_hash    BYTEA,
    redirect_uri   TEXT NOT NULL,
    server_id      TEXT COLLATE "C" REFERENCES servers (id) ON DELETE CASCADE,
    description    TEXT NOT NULL,
    allowed_scopes TEXT NOT NULL -- JSON array
);
CREATE INDEX oauth_clients_server ON oauth_clients (server_id);

CREATE TABLE oauth_codes (
    hash           BYTEA PRIMARY KEY,
    client_id      TEXT COLLATE "C" NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    user_id        TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    browser_id     TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    scopes         TEXT NOT NULL, -- JSON array
    challenge      TEXT NOT NULL,
    challenge_type TEXT NOT NULL,
    expires        BIGINT
);
CREATE INDEX oauth_codes_client ON oauth_codes (client_id);
CREATE INDEX oauth_codes_user ON oauth_codes (user_id);
CREATE INDEX oauth_codes_expires ON oauth_codes (expires);

CREATE TABLE tokens (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id       TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash          BYTEA NOT NULL UNIQUE,
    client_id     TEXT COLLATE "C" REFERENCES oauth_clients (id) ON DELETE CASCADE,
    browser_id    TEXT COLLATE "C",
    server_id     TEXT COLLATE "C" REFERENCES servers (id) ON DELETE CASCADE,
    scopes        TEXT NOT NULL, -- JSON array
    note          TEXT NOT NULL,
    created       BIGINT,
    last_activity BIGINT,
    expires       BIGINT
);
CREATE INDEX tokens_user ON tokens (user_id, browser_id);
CREATE INDEX tokens_client ON tokens (client_id);
CREATE INDEX tokens_server ON tokens (server_id);
CREATE INDEX tokens_expires ON tokens (expires);

CREATE TABLE leases (
    name    TEXT COLLATE "C" PRIMARY KEY,
    holder  TEXT COLLATE "C" NOT NULL, -- '' once it was given back; the row stays, so that the fence goes on rising
    fence   BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
