-- When a server was last used by somebody, apart from what its pages ask by themselves, and when it last sent something on a websocket; what its profile says about culling, in
-- microseconds (0: nothing, below 0: never); and since when each hub has written what its proxy saw.

ALTER TABLE servers ADD COLUMN last_used BIGINT;
ALTER TABLE servers ADD COLUMN last_output BIGINT;
ALTER TABLE servers ADD COLUMN idle_after BIGINT NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN max_age BIGINT NOT NULL DEFAULT 0;

CREATE TABLE activity_watch (
    replica TEXT COLLATE "C" PRIMARY KEY,
    began   BIGINT NOT NULL,
    seen    BIGINT NOT NULL
);
