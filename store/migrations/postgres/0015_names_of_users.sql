-- Searches for a part of a name read all names. So they read nothing else.
CREATE INDEX users_name_folded ON users (name_folded, id);
