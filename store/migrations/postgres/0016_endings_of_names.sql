-- Searches for a part of a name find it where an ending of the name begins. An ending is kept as far as 32 characters. The triggers keep them, whoever writes:
-- a hub of the version before, too, which may run beside this one for a while.
CREATE TABLE name_endings (
    ending  TEXT COLLATE "C" NOT NULL, -- of name_folded
    user_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ending, user_id)
);

INSERT INTO name_endings (ending, user_id)
SELECT DISTINCT substr(u.name_folded, i, 32), u.id FROM users u, generate_series(1, length(u.name_folded)) i;

CREATE FUNCTION keep_name_endings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM name_endings WHERE user_id = OLD.id
        AND ending IN (SELECT substr(OLD.name_folded, i, 32) FROM generate_series(1, length(OLD.name_folded)) i);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO name_endings (ending, user_id)
        SELECT DISTINCT substr(NEW.name_folded, i, 32), NEW.id FROM generate_series(1, length(NEW.name_folded)) i;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER name_endings_kept AFTER INSERT OR DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep_name_endings();
CREATE TRIGGER name_endings_changed AFTER UPDATE OF name_folded ON users FOR EACH ROW
WHEN (OLD.name_folded IS DISTINCT FROM NEW.name_folded) EXECUTE FUNCTION keep_name_endings();
