-- Searches for a part of a name find it where an ending of the name begins. An ending is kept as far as 32 characters. The triggers keep them, whoever writes:
-- a hub of the version before, too, which may run beside this one for a while.
CREATE TABLE name_endings (
    ending  TEXT NOT NULL, -- of name_folded
    user_id TEXT NOT NULL,
    PRIMARY KEY (ending, user_id)
) STRICT, WITHOUT ROWID;

-- Where an ending can begin. No name is longer.
CREATE TABLE name_positions (at INTEGER NOT NULL PRIMARY KEY) STRICT;
INSERT INTO name_positions (at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 255) SELECT i FROM n;

INSERT INTO name_endings (ending, user_id)
SELECT DISTINCT substr(u.name_folded, p.at, 32), u.id FROM users u JOIN name_positions p ON p.at <= length(u.name_folded);

CREATE TRIGGER name_endings_added AFTER INSERT ON users
BEGIN
    INSERT INTO name_endings (ending, user_id)
    SELECT DISTINCT substr(NEW.name_folded, at, 32), NEW.id FROM name_positions WHERE at <= length(NEW.name_folded);
END;

CREATE TRIGGER name_endings_changed AFTER UPDATE OF name_folded ON users WHEN OLD.name_folded <> NEW.name_folded
BEGIN
    DELETE FROM name_endings WHERE user_id = OLD.id
    AND ending IN (SELECT substr(OLD.name_folded, at, 32) FROM name_positions WHERE at <= length(OLD.name_folded));
    INSERT INTO name_endings (ending, user_id)
    SELECT DISTINCT substr(NEW.name_folded, at, 32), NEW.id FROM name_positions WHERE at <= length(NEW.name_folded);
END;

CREATE TRIGGER name_endings_removed AFTER DELETE ON users
BEGIN
    DELETE FROM name_endings WHERE user_id = OLD.id
    AND ending IN (SELECT substr(OLD.name_folded, at, 32) FROM name_positions WHERE at <= length(OLD.name_folded));
END;
