-- works with: 1
-- Expands: a table of which older binaries know nothing, a column that they do not name, and an index for the list.

-- Replays under way and past. endpoint: NULL means all that the app has. which: how the deliveries stand that it puts back.
-- messages: their ids one after another, 20 bytes each; NULL means all. rate: how many a second at most. at_endpoint and
-- next: how far it is; next_at: when it goes on.
CREATE TABLE replay (
    id          BYTEA PRIMARY KEY,
    environment BIGINT NOT NULL,
    app         BYTEA NOT NULL,
    endpoint    BYTEA,
    task        TEXT NOT NULL,
    since       BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    which       TEXT NOT NULL,
    event_types TEXT,
    channel     TEXT,
    tag         TEXT,
    messages    BYTEA,
    rate        INTEGER,
    at_endpoint BYTEA NOT NULL,
    next        BYTEA NOT NULL,
    next_at     BIGINT NOT NULL,
    done_count  BIGINT NOT NULL,
    lost_count  BIGINT NOT NULL,
    total       BIGINT NOT NULL,
    total_more  BOOLEAN NOT NULL,
    state       TEXT NOT NULL,
    why         TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX replay_running ON replay (next_at, id) WHERE state = 'running';
CREATE INDEX replay_by_environment ON replay (environment, id);
CREATE INDEX job_by_environment ON job (environment, id);

-- Somebody stopped it. Such a job is also finished, so that older binaries leave it alone.
ALTER TABLE job ADD COLUMN cancelled BOOLEAN;
