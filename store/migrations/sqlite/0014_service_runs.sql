-- What the cluster shall run for services that are jobs, and where that is. Nobody can read from mark what a service was told.

CREATE TABLE service_runs (
    service    TEXT NOT NULL PRIMARY KEY REFERENCES services (name) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    salt       BLOB NOT NULL,
    mark       BLOB NOT NULL,
    token      BLOB NOT NULL, -- hash of the token that it was given
    instance   TEXT NOT NULL DEFAULT '',
    address    TEXT NOT NULL DEFAULT ''
) STRICT;
