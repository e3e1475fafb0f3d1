-- Programs beside the hub that speak its API. All have a row, also those of the configuration, so that their tokens and clients go when they go.

CREATE TABLE services (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    origin  TEXT NOT NULL, -- config or api
    spec    TEXT NOT NULL, -- JSON, see hub.Service; of those of the configuration without the environment, which may hold secrets and is there
    created BIGINT
);

ALTER TABLE oauth_clients ADD COLUMN service TEXT COLLATE "C" REFERENCES services (name) ON DELETE CASCADE;
CREATE INDEX oauth_clients_service ON oauth_clients (service) WHERE service IS NOT NULL;

-- A token belongs to a user or to a service.
ALTER TABLE tokens ALTER COLUMN user_id DROP NOT NULL;
ALTER TABLE tokens ADD COLUMN service TEXT COLLATE "C" REFERENCES services (name) ON DELETE CASCADE;
ALTER TABLE tokens ADD CHECK ((user_id IS NULL) <> (service IS NULL));
CREATE INDEX tokens_service ON tokens (service) WHERE service IS NOT NULL;
