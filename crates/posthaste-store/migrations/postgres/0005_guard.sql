-- works with: 3
-- Expands: a column and a table of which older binaries know nothing.

-- A token with a parent is a session: made by logging in with that token, and over when that one is. Its own hash: it was
-- made by nothing that lasts.
ALTER TABLE token ADD COLUMN parent BYTEA;
-- Links and sessions that are over, to be removed.
CREATE INDEX token_passing ON token (expires_at) WHERE expires_at IS NOT NULL AND (app IS NOT NULL OR parent IS NOT NULL);

-- What an environment's operators chose: how its portal looks, whether its catalogue is public, their password.
CREATE TABLE choice (
    environment BIGINT NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    value       BYTEA NOT NULL,
    PRIMARY KEY (environment, name)
);
-- By what the public catalogue is found.
CREATE UNIQUE INDEX choice_by_value ON choice (name, value) WHERE name = 'catalogue';
