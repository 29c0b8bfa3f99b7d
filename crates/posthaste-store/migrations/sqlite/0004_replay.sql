-- works with: 3
-- Expands: a table of which older binaries know nothing, a column that they do not name, and an index for the list.

-- Replays under way and past. endpoint: NULL means all that the app has. which: how the deliveries stand that it puts back.
-- messages: their ids one after another, 20 bytes each; NULL means all. rate: how many a second at most. at_endpoint and
-- next: how far it is; next_at: when it goes on.
CREATE TABLE replay (
    id          BLOB PRIMARY KEY,
    environment INTEGER NOT NULL,
    app         BLOB NOT NULL,
    endpoint    BLOB,
    task        TEXT NOT NULL,
    since       INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    which       TEXT NOT NULL,
    event_types TEXT,
    channel     TEXT,
    tag         TEXT,
    messages    BLOB,
    rate        INTEGER,
    at_endpoint BLOB NOT NULL,
    next        BLOB NOT NULL,
    next_at     INTEGER NOT NULL,
    done_count  INTEGER NOT NULL,
    lost_count  INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    total_more  INTEGER NOT NULL,
    state       TEXT NOT NULL,
    why         TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX replay_running ON replay (next_at, id) WHERE state = 'running';
CREATE INDEX replay_by_environment ON replay (environment, id);
CREATE INDEX job_by_environment ON job (environment, id);

-- Somebody stopped it. Such a job is also finished, so that older binaries leave it alone.
ALTER TABLE job ADD COLUMN cancelled INTEGER;
