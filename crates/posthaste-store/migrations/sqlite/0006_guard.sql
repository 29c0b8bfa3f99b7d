-- works with: 4
-- Expands: a column and a table of which older binaries know nothing, and an index for a customer's tokens.

-- A token with a parent is a session: made by logging in with that token, and over when that one is. Its own hash: it was
-- made by nothing that lasts.
ALTER TABLE token ADD COLUMN parent BLOB;
CREATE INDEX token_by_app ON token (app, id) WHERE app IS NOT NULL;
-- Links and sessions that are over, to be removed.
CREATE INDEX token_passing ON token (expires_at) WHERE expires_at IS NOT NULL AND (app IS NOT NULL OR parent IS NOT NULL);

-- What an environment's operators chose: how its portal looks, whether its catalogue is public, their password.
CREATE TABLE choice (
    environment INTEGER NOT NULL,
    name        TEXT NOT NULL,
    value       BLOB NOT NULL,
    PRIMARY KEY (environment, name)
) WITHOUT ROWID;
-- By what the public catalogue is found.
CREATE UNIQUE INDEX choice_by_value ON choice (name, value) WHERE name = 'catalogue';
