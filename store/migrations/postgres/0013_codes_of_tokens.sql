-- The hash of the authorization code that a token was given for: whoever shows the code again has the token revoked.

ALTER TABLE tokens ADD COLUMN code_hash BYTEA;
CREATE UNIQUE INDEX tokens_code ON tokens (code_hash) WHERE code_hash IS NOT NULL;
