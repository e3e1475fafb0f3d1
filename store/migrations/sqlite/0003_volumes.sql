-- Places for files that outlive servers. A row stays when what it belonged to is deleted, so nothing here refers to users or servers but the uses.

CREATE TABLE volumes (
    id           TEXT NOT NULL PRIMARY KEY,
    share        TEXT NOT NULL, -- server, user, group or all
    user_id      TEXT NOT NULL, -- '' for those of a group and of all
    user_name    TEXT NOT NULL, -- as it was last known, for who reads the list after the user is gone
    server_name  TEXT NOT NULL,
    group_name   TEXT NOT NULL,
    name         TEXT NOT NULL,
    profile      TEXT NOT NULL,
    kind         TEXT NOT NULL,
    source       TEXT NOT NULL,
    node         TEXT NOT NULL,
    node_id      TEXT NOT NULL,
    capacity_mb  INTEGER NOT NULL,
    retain       TEXT NOT NULL,
    grace        INTEGER NOT NULL, -- microseconds
    created      INTEGER,
    last_used    INTEGER,
    released     INTEGER,
    delete_after INTEGER,
    state        TEXT NOT NULL,
    note         TEXT NOT NULL,
    revision     INTEGER NOT NULL
) STRICT;
-- Of what one owner has, a name is one volume. Those that were given up do not count.
CREATE UNIQUE INDEX volumes_owner ON volumes (share, user_id, server_name, group_name, name) WHERE state IN ('making', 'ready');
CREATE INDEX volumes_user ON volumes (user_id, id);
CREATE INDEX volumes_state ON volumes (state, delete_after);
CREATE INDEX volumes_shared ON volumes (share, group_name);

CREATE TABLE volume_uses (
    volume_id  TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    server_id  TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    PRIMARY KEY (volume_id, server_id)
) STRICT;
CREATE INDEX volume_uses_server ON volume_uses (server_id);
