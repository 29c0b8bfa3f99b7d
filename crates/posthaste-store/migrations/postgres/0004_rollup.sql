-- works with: 1
-- Expands: a table and an index of which older binaries know nothing. What one of them delivers is not counted.

-- Counts over time, written with what they count. tier: how long a stretch is, 0 a minute, 1 an hour, 2 a day; old minutes
-- become hours, and old hours days. start: when the stretch begins. thing: of which app or endpoint; empty: of the whole
-- environment. shard: who wrote it, so that of two transactions none waits for the other to commit; readers add them up.
-- took_5_ms: attempts that took up to that long, and longer than the class before; took_longer: those beyond the last.
CREATE TABLE rollup (
    tier          SMALLINT NOT NULL,
    start         BIGINT NOT NULL,
    environment   BIGINT NOT NULL,
    thing         BYTEA NOT NULL,
    shard         INTEGER NOT NULL,
    accepted      BIGINT NOT NULL,
    delivered     BIGINT NOT NULL,
    dead          BIGINT NOT NULL,
    succeeded     BIGINT NOT NULL,
    refused       BIGINT NOT NULL,
    unanswered    BIGINT NOT NULL,
    took_1_ms     BIGINT NOT NULL,
    took_2_ms     BIGINT NOT NULL,
    took_5_ms     BIGINT NOT NULL,
    took_10_ms    BIGINT NOT NULL,
    took_20_ms    BIGINT NOT NULL,
    took_50_ms    BIGINT NOT NULL,
    took_100_ms   BIGINT NOT NULL,
    took_200_ms   BIGINT NOT NULL,
    took_500_ms   BIGINT NOT NULL,
    took_1000_ms  BIGINT NOT NULL,
    took_2000_ms  BIGINT NOT NULL,
    took_5000_ms  BIGINT NOT NULL,
    took_10000_ms BIGINT NOT NULL,
    took_20000_ms BIGINT NOT NULL,
    took_longer   BIGINT NOT NULL,
    PRIMARY KEY (tier, start, environment, thing, shard)
) WITH (fillfactor = 50);

-- Endpoints that fail, the longest first: there are few.
CREATE INDEX IF NOT EXISTS endpoint_failing ON endpoint (failing_since)
    WHERE failing_since IS NOT NULL AND deleted_at IS NULL;
