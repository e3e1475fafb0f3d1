-- Whether nobody had vouched for the user before. Of two providers that speak of the same user for the first time at the same moment, one gets there.

ALTER TABLE identities ADD COLUMN sole INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX identities_sole ON identities (user_id) WHERE sole;
