-- What the queue of starts counts, and what shall come after a stop.

ALTER TABLE servers ADD COLUMN restart TEXT; -- JSON
-- The next two are read out of "wait" and "held", so that they can be counted.
ALTER TABLE servers ADD COLUMN blocked BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE servers ADD COLUMN pool TEXT COLLATE "C" NOT NULL DEFAULT '';

-- Every start counts what is active; most records of a large hub are not.
CREATE INDEX servers_active ON servers (state, admitted, blocked, pool) WHERE state <> 'stopped';
