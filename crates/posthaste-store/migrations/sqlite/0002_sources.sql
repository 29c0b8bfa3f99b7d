-- An inbound door, and the app that owns what comes in by it (app.kind = 2).
-- sealed: the provider's config and the door's letters, encrypted, bound to this id.
CREATE TABLE source (
    id          BLOB PRIMARY KEY,
    environment INTEGER NOT NULL,
    app         BLOB NOT NULL UNIQUE,
    uid         TEXT,
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    sealed      BLOB NOT NULL,
    rules       TEXT NOT NULL,
    paused      INTEGER NOT NULL,
    metadata    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX source_by_uid ON source (environment, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX source_by_environment ON source (environment, id) WHERE deleted_at IS NULL;
CREATE INDEX source_paused ON source (paused, app) WHERE paused = 1;

-- By which hash a source is found: that of its door, and those of old doors until they retire.
CREATE TABLE door (
    hash       BLOB PRIMARY KEY,
    source     BLOB NOT NULL,
    retires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX door_by_source ON door (source, retires_at);
CREATE INDEX door_by_expiry ON door (retires_at) WHERE retires_at IS NOT NULL;

-- What was received, to know it again. key: 16 bytes of SHA-256 over the source's id and the hash of what its rules
-- name. Half of it keeps these trees small, since each request touches a page of them that no other does.
CREATE TABLE received (
    key        BLOB PRIMARY KEY,
    message    BLOB NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX received_by_expiry ON received (expires_at);

-- What was not taken. origin: as in body.
CREATE TABLE refusal (
    source     BLOB NOT NULL,
    id         BLOB NOT NULL,
    at         INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    remote     TEXT,
    body_bytes INTEGER NOT NULL,
    origin     BLOB NOT NULL,
    body       BLOB NOT NULL,
    PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE INDEX refusal_by_time ON refusal (at);

-- The request that a body came with, method and headers, sealed and bound to the message's id: providers send secrets in
-- headers.
ALTER TABLE body ADD COLUMN origin BLOB;
-- How often the message came again, and when last.
ALTER TABLE message ADD COLUMN repeats INTEGER;
ALTER TABLE message ADD COLUMN repeated_at INTEGER;
