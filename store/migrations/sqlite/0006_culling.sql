-- When a server was last used by somebody, apart from what its pages ask by themselves, and when it last sent something on a websocket; what its profile says about culling, in
-- microseconds (0: nothing, below 0: never); and since when each hub has written what its proxy saw.

ALTER TABLE servers ADD COLUMN last_used INTEGER;
ALTER TABLE servers ADD COLUMN last_output INTEGER;
ALTER TABLE servers ADD COLUMN idle_after INTEGER NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN max_age INTEGER NOT NULL DEFAULT 0;

CREATE TABLE activity_watch (
    replica TEXT NOT NULL PRIMARY KEY,
    began   INTEGER NOT NULL,
    seen    INTEGER NOT NULL
) STRICT;
