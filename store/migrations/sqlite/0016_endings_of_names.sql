-- Searches for a part of a name find it where an ending of the name begins. An ending is kept as far as 32 characters. Rows go with the user by the hub's own
-- hand: a foreign key would need an index of its own, as large as the table.
CREATE TABLE name_endings (
    ending  TEXT NOT NULL, -- of name_folded
    user_id TEXT NOT NULL,
    PRIMARY KEY (ending, user_id)
) STRICT, WITHOUT ROWID;

INSERT OR IGNORE INTO name_endings (ending, user_id)
WITH RECURSIVE at (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM at WHERE i < (SELECT max(length(name_folded)) FROM users))
SELECT substr(u.name_folded, at.i, 32), u.id FROM users u JOIN at ON at.i <= length(u.name_folded);
