-- Places for files that outlive servers. A row stays when what it belonged to is deleted, so nothing here refers to users or servers but the uses.

CREATE TABLE volumes (
    id           TEXT COLLATE "C" PRIMARY KEY,
    share        TEXT COLLATE "C" NOT NULL, -- server, user, group or all
    user_id      TEXT COLLATE "C" NOT NULL, -- '' for those of a group and of all
    user_name    TEXT COLLATE "C" NOT NULL, -- as it was last known, for who reads the list after the user is gone
    server_name  TEXT COLLATE "C" NOT NULL,
    group_name   TEXT COLLATE "C" NOT NULL,
    name         TEXT COLLATE "C" NOT NULL,
    profile      TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL,
    source       TEXT NOT NULL,
    node         TEXT NOT NULL,
    node_id      TEXT NOT NULL,
    capacity_mb  BIGINT NOT NULL,
    retain       TEXT COLLATE "C" NOT NULL,
    grace        BIGINT NOT NULL, -- microseconds
    created      BIGINT,
    last_used    BIGINT,
    released     BIGINT,
    delete_after BIGINT,
    state        TEXT COLLATE "C" NOT NULL,
    note         TEXT NOT NULL,
    revision     BIGINT NOT NULL
);
-- Of what one owner has, a name is one volume. Those that were given up do not count.
CREATE UNIQUE INDEX volumes_owner ON volumes (share, user_id, server_name, group_name, name) WHERE state IN ('making', 'ready');
CREATE INDEX volumes_user ON volumes (user_id, id);
CREATE INDEX volumes_state ON volumes (state, delete_after);
CREATE INDEX volumes_shared ON volumes (share, group_name);

CREATE TABLE volume_uses (
    volume_id  TEXT COLLATE "C" NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    server_id  TEXT COLLATE "C" NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    generation BIGINT NOT NULL,
    PRIMARY KEY (volume_id, server_id)
);
CREATE INDEX volume_uses_server ON volume_uses (server_id);
