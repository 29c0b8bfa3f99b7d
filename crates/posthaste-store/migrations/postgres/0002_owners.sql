-- works with: 1
-- Expands: a new table, of which older binaries know nothing.

-- Which node may claim for what has a rate limit: an endpoint, or an app and then all its endpoints. thing: their id.
-- node: NULL if it was let go of; then nobody has it before "until". until: by PostgreSQL's own clock.
CREATE TABLE owner (
    thing BYTEA PRIMARY KEY,
    node  INTEGER,
    until TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);
