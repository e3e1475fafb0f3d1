-- What a start was made with, what it waits for, what it holds, and what its owner should know.

ALTER TABLE servers ADD COLUMN profile TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN queued INTEGER;
ALTER TABLE servers ADD COLUMN admitted INTEGER;
ALTER TABLE servers ADD COLUMN wait TEXT; -- JSON, as are the next two
ALTER TABLE servers ADD COLUMN held TEXT;
ALTER TABLE servers ADD COLUMN notice TEXT;
ALTER TABLE servers ADD COLUMN keep_until INTEGER;

-- A start that was under way when the schema changed had been let through.
UPDATE servers SET admitted = started WHERE state = 'starting';
