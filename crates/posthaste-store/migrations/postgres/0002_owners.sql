-- works with: 1
-- Expands: new tables, of which older binaries know nothing.

-- Which node may claim for what has a rate limit: an endpoint, or an app and then all its endpoints. thing: their id.
-- node: NULL if it was let go of; then nobody has it before "until". until: by PostgreSQL's own clock.
CREATE TABLE owner (
    thing BYTEA PRIMARY KEY,
    node  INTEGER,
    until TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 50);

-- How much is owed by all nodes together, as one of them counted it. One row.
CREATE TABLE tally (
    one          BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    waiting      BIGINT NOT NULL,
    in_flight    BIGINT NOT NULL,
    count_number BIGINT NOT NULL DEFAULT 0,
    next_at      TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO tally (waiting, in_flight) VALUES (0, 0);
