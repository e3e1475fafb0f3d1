-- Searches for a part of a name find it where an ending of the name begins. An ending is kept as far as 32 characters. Rows go with the user by the hub's own
-- hand: a foreign key would need an index of its own, as large as the table.
CREATE TABLE name_endings (
    ending  TEXT COLLATE "C" NOT NULL, -- of name_folded
    user_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ending, user_id)
);

INSERT INTO name_endings (ending, user_id)
SELECT DISTINCT substr(u.name_folded, i, 32), u.id FROM users u, generate_series(1, length(u.name_folded)) i;
