-- What the cluster shall run for services that are jobs, and where that is. Nobody can read from mark what a service was told.

CREATE TABLE service_runs (
    service    TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES services (name) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    salt       BYTEA NOT NULL,
    mark       BYTEA NOT NULL,
    token      BYTEA NOT NULL, -- hash of the token that it was given
    instance   TEXT NOT NULL DEFAULT '',
    address    TEXT NOT NULL DEFAULT ''
);
