-- What a person calls a server; '' where nobody said anything.

ALTER TABLE servers ADD COLUMN display_name TEXT NOT NULL DEFAULT '';
