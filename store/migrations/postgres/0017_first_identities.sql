-- Whether nobody had vouched for the user before. Of two providers that speak of the same user for the first time at the same moment, one gets there.

ALTER TABLE identities ADD COLUMN sole BOOLEAN NOT NULL DEFAULT FALSE;
CREATE UNIQUE INDEX identities_sole ON identities (user_id) WHERE sole;
