-- works with: 3
-- Expands: a table and an index of which older binaries know nothing. What one of them delivers is not counted.

-- Counts over time, written with what they count. tier: how long a stretch is, 0 a minute, 1 an hour, 2 a day; old minutes
-- become hours, and old hours days. start: when the stretch begins. thing: of which app or endpoint; empty: of the whole
-- environment. What is written now lies together, however many things it is of. took_5_ms: attempts that took up to that
-- long, and longer than the class before; took_longer: those beyond the last.
CREATE TABLE rollup (
    tier          INTEGER NOT NULL,
    start         INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    thing         BLOB NOT NULL,
    accepted      INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    dead          INTEGER NOT NULL,
    succeeded     INTEGER NOT NULL,
    refused       INTEGER NOT NULL,
    unanswered    INTEGER NOT NULL,
    took_1_ms     INTEGER NOT NULL,
    took_2_ms     INTEGER NOT NULL,
    took_5_ms     INTEGER NOT NULL,
    took_10_ms    INTEGER NOT NULL,
    took_20_ms    INTEGER NOT NULL,
    took_50_ms    INTEGER NOT NULL,
    took_100_ms   INTEGER NOT NULL,
    took_200_ms   INTEGER NOT NULL,
    took_500_ms   INTEGER NOT NULL,
    took_1000_ms  INTEGER NOT NULL,
    took_2000_ms  INTEGER NOT NULL,
    took_5000_ms  INTEGER NOT NULL,
    took_10000_ms INTEGER NOT NULL,
    took_20000_ms INTEGER NOT NULL,
    took_longer   INTEGER NOT NULL,
    PRIMARY KEY (tier, start, environment, thing)
) WITHOUT ROWID;

-- Endpoints that fail, the longest first: there are few.
CREATE INDEX endpoint_failing ON endpoint (failing_since) WHERE failing_since IS NOT NULL AND deleted_at IS NULL;
