-- What groups hold beside their members, and which roles a user was given by who vouches for them at login. Roles themselves are configuration.

ALTER TABLE groups ADD COLUMN properties TEXT NOT NULL DEFAULT '{}'; -- a JSON object as it came
ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '[]'; -- JSON array of names
