-- Programs beside the hub that speak its API. All have a row, also those of the configuration, so that their tokens and clients go when they go.

CREATE TABLE services (
    name    TEXT NOT NULL PRIMARY KEY,
    origin  TEXT NOT NULL, -- config or api
    spec    TEXT NOT NULL, -- JSON, see hub.Service; of those of the configuration without the environment, which may hold secrets and is there
    created INTEGER
) STRICT;

ALTER TABLE oauth_clients ADD COLUMN service TEXT REFERENCES services (name) ON DELETE CASCADE;
CREATE INDEX oauth_clients_service ON oauth_clients (service) WHERE service IS NOT NULL;

-- A token belongs to a user or to a service.
CREATE TABLE tokens_new (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id       TEXT REFERENCES users (id) ON DELETE CASCADE,
    service       TEXT REFERENCES services (name) ON DELETE CASCADE,
    hash          BLOB NOT NULL UNIQUE,
    client_id     TEXT REFERENCES oauth_clients (id) ON DELETE CASCADE,
    browser_id    TEXT,
    server_id     TEXT REFERENCES servers (id) ON DELETE CASCADE,
    scopes        TEXT NOT NULL, -- JSON array
    note          TEXT NOT NULL,
    created       INTEGER,
    last_activity INTEGER,
    expires       INTEGER,
    CHECK ((user_id IS NULL) <> (service IS NULL))
) STRICT;
INSERT INTO tokens_new (id, user_id, hash, client_id, browser_id, server_id, scopes, note, created, last_activity, expires)
SELECT id, user_id, hash, client_id, browser_id, server_id, scopes, note, created, last_activity, expires FROM tokens;
-- No ID is given twice, also if the newest token is not there any more.
DELETE FROM sqlite_sequence WHERE name = 'tokens_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'tokens_new', seq FROM sqlite_sequence WHERE name = 'tokens';
DROP TABLE tokens;
ALTER TABLE tokens_new RENAME TO tokens;
CREATE INDEX tokens_user ON tokens (user_id, browser_id);
CREATE INDEX tokens_service ON tokens (service) WHERE service IS NOT NULL;
CREATE INDEX tokens_client ON tokens (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX tokens_server ON tokens (server_id);
CREATE INDEX tokens_expires ON tokens (expires) WHERE expires IS NOT NULL;
