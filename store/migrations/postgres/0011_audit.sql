-- Who did what to whom. Rows are added and, after their time, removed; never changed. Names are kept as text, since rows outlive what they are about.

CREATE TABLE audit (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       BIGINT NOT NULL,
    kind     TEXT NOT NULL, -- of the actor: user, service or hub; '' for nobody who is known
    actor    TEXT COLLATE "C" NOT NULL,
    token    BIGINT, -- ID of the token that was shown; NULL: a browser's session, or none
    address  TEXT NOT NULL, -- from where
    action   TEXT NOT NULL, -- such as server.start
    target   TEXT NOT NULL, -- such as user/alice or server/alice/lab
    owner    TEXT COLLATE "C" NOT NULL, -- name of the user whom it concerns; '' for nobody
    owner_id TEXT COLLATE "C" NOT NULL, -- ID of that user, who may read the row. A name may get another owner, an ID never
    result   TEXT NOT NULL, -- done, refused or failed
    detail   TEXT NOT NULL  -- a JSON object without secrets
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_owner ON audit (owner, id);
CREATE INDEX audit_owner_id ON audit (owner_id, id);
CREATE INDEX audit_actor ON audit (actor, id);

CREATE FUNCTION audit_unchanged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is never changed';
END
$$;
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_unchanged();
