-- Most tokens belong to no client and do not expire: they need no entry in these indexes, which each start of a server would write.

DROP INDEX tokens_client;
CREATE INDEX tokens_client ON tokens (client_id) WHERE client_id IS NOT NULL;
DROP INDEX tokens_expires;
CREATE INDEX tokens_expires ON tokens (expires) WHERE expires IS NOT NULL;
