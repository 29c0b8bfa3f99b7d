-- Ids are 20 bytes (see posthaste-core/src/id.rs); instants are microseconds since 1970 in UTC. What one list names is
-- one column: |a|b|. Text compares by its bytes, whatever the database's own order is.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE environment (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE token (
    hash        BYTEA PRIMARY KEY,
    id          BYTEA NOT NULL UNIQUE,
    environment BIGINT NOT NULL,
    app         BYTEA,
    read_only   BOOLEAN NOT NULL,
    hint        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT
);
CREATE INDEX token_by_app ON token (app) WHERE app IS NOT NULL;

-- kind: 0 a customer, 1 the environment's own operational webhooks, 2 what a source received.
-- version: grows with each change of the app, its endpoints and its source, in the transaction of that change. Whoever
-- keeps an app in memory looks at it within each transaction.
CREATE TABLE app (
    id          BYTEA PRIMARY KEY,
    environment BIGINT NOT NULL,
    kind        SMALLINT NOT NULL,
    uid         TEXT COLLATE "C",
    name        TEXT NOT NULL,
    rate        INTEGER,
    metadata    TEXT NOT NULL,
    version     BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX app_by_uid ON app (environment, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX app_operational ON app (environment) WHERE kind = 1 AND deleted_at IS NULL;
CREATE INDEX app_by_environment ON app (environment, kind, id) WHERE deleted_at IS NULL;

-- sealed: the secrets and the custom headers, encrypted, bound to this id.
CREATE TABLE endpoint (
    id            BYTEA PRIMARY KEY,
    app           BYTEA NOT NULL,
    uid           TEXT COLLATE "C",
    url           TEXT NOT NULL,
    description   TEXT NOT NULL,
    rate          INTEGER,
    disabled      BOOLEAN NOT NULL,
    event_types   TEXT,
    channels      TEXT,
    metadata      TEXT NOT NULL,
    sealed        BYTEA NOT NULL,
    failing_since BIGINT,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    deleted_at    BIGINT
) WITH (fillfactor = 70);
CREATE INDEX endpoint_by_app ON endpoint (app, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX endpoint_by_uid ON endpoint (app, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE event_type (
    environment BIGINT NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    facts       TEXT NOT NULL,
    archived    BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (environment, name)
);

-- What happened. body: as it came; large ones are kept apart by PostgreSQL itself, and walking the log reads none.
-- origin: the request that a body came with, sealed and bound to the message's id.
-- Partitions: one for each day of UTC, made when it is needed (`partitions.rs`). Ids begin with their time, so a day is a
-- range of ids. There is none for what lies outside: its day is made like any other, and lists can walk day by day in
-- the order of ids.
CREATE TABLE message (
    app         BYTEA NOT NULL,
    id          BYTEA NOT NULL,
    event_type  TEXT NOT NULL,
    event_id    TEXT,
    channels    TEXT,
    tags        TEXT,
    deliver_at  BIGINT,
    created_at  BIGINT NOT NULL,
    expunge_at  BIGINT,
    repeats     INTEGER,
    repeated_at BIGINT,
    body        BYTEA,
    origin      BYTEA,
    PRIMARY KEY (app, id)
) PARTITION BY RANGE (id);
-- To compress a body would cost more than to write it.
ALTER TABLE message ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE message ALTER COLUMN origin SET STORAGE EXTERNAL;
CREATE INDEX message_to_expunge ON message (expunge_at) WHERE expunge_at IS NOT NULL AND body IS NOT NULL;

CREATE TABLE event_key (
    app      BYTEA NOT NULL,
    event_id TEXT COLLATE "C" NOT NULL,
    message  BYTEA NOT NULL,
    PRIMARY KEY (app, event_id)
);
-- They go with the day of their messages.
CREATE INDEX event_key_by_message ON event_key (message);

-- Answers to requests that came with an idempotency key: a message, or a status and a body.
CREATE TABLE idempotency (
    key         BYTEA PRIMARY KEY,
    fingerprint BYTEA NOT NULL,
    app         BYTEA,
    message     BYTEA,
    status      INTEGER,
    answer      BYTEA,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- What is owed: the queue itself. state: 0 waiting, 1 in flight, 2 delivered, 3 dead-lettered. One table, however many days
-- there are: a claim looks for what is due, and would have to look into each.
CREATE TABLE delivery (
    message     BYTEA NOT NULL,
    endpoint    BYTEA NOT NULL,
    app         BYTEA NOT NULL,
    state       SMALLINT NOT NULL,
    manual      BOOLEAN NOT NULL,
    attempts    INTEGER NOT NULL,
    due_at      BIGINT,
    lease_token BIGINT,
    lease_until BIGINT,
    why         TEXT,
    PRIMARY KEY (message, endpoint)
);
CREATE INDEX delivery_waiting ON delivery (endpoint, due_at, message) WHERE state = 0;
CREATE INDEX delivery_in_flight ON delivery (lease_until) WHERE state = 1;
CREATE INDEX delivery_dead ON delivery (endpoint, message) WHERE state = 3;
CREATE INDEX delivery_by_endpoint ON delivery (endpoint, message);

-- What was tried; never changed, except that an answer can be expunged. It lies in the day of its message, and goes with it.
CREATE TABLE attempt (
    message       BYTEA NOT NULL,
    id            BYTEA NOT NULL,
    endpoint      BYTEA NOT NULL,
    url           TEXT NOT NULL,
    manual        BOOLEAN NOT NULL,
    truncated     BOOLEAN NOT NULL,
    status        INTEGER NOT NULL,
    started_at    BIGINT NOT NULL,
    dns_us        BIGINT NOT NULL,
    connect_us    BIGINT NOT NULL,
    tls_us        BIGINT NOT NULL,
    first_byte_us BIGINT NOT NULL,
    total_us      BIGINT NOT NULL,
    remote        TEXT,
    failure       TEXT,
    detail        TEXT,
    headers       BYTEA,
    body          BYTEA,
    PRIMARY KEY (message, id)
) PARTITION BY RANGE (message);
CREATE INDEX attempt_by_endpoint ON attempt (endpoint, id);

-- The days that have a partition of `message` and of `attempt`, counted from 1970-01-01.
CREATE TABLE day (
    number INTEGER PRIMARY KEY
);

CREATE TABLE job (
    id          BYTEA PRIMARY KEY,
    environment BIGINT NOT NULL,
    app         BYTEA NOT NULL,
    endpoint    BYTEA NOT NULL,
    task        TEXT NOT NULL,
    since       BIGINT NOT NULL,
    until       BIGINT NOT NULL,
    next        BYTEA NOT NULL,
    done_count  BIGINT NOT NULL,
    finished    BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE INDEX job_unfinished ON job (id) WHERE NOT finished;

-- An inbound door, and the app that owns what comes in by it (app.kind = 2).
-- sealed: the provider's config and the door's letters, encrypted, bound to this id.
CREATE TABLE source (
    id          BYTEA PRIMARY KEY,
    environment BIGINT NOT NULL,
    app         BYTEA NOT NULL UNIQUE,
    uid         TEXT COLLATE "C",
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    sealed      BYTEA NOT NULL,
    rules       TEXT NOT NULL,
    paused      BOOLEAN NOT NULL,
    metadata    TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);
CREATE UNIQUE INDEX source_by_uid ON source (environment, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX source_by_environment ON source (environment, id) WHERE deleted_at IS NULL;
CREATE INDEX source_paused ON source (app) WHERE paused;
-- Sources that make messages of their own: all of them are read once a minute, and the others are not.
CREATE INDEX source_cron ON source (id) WHERE provider = 'cron' AND deleted_at IS NULL;

-- By which hash a source is found: that of its door, and those of old doors until they retire.
CREATE TABLE door (
    hash       BYTEA PRIMARY KEY,
    source     BYTEA NOT NULL,
    retires_at BIGINT
);
CREATE INDEX door_by_source ON door (source, retires_at);
CREATE INDEX door_by_expiry ON door (retires_at) WHERE retires_at IS NOT NULL;

-- What was received, to know it again. key: 16 bytes of SHA-256 over the source's id and the hash of what its rules name.
CREATE TABLE received (
    key        BYTEA PRIMARY KEY,
    message    BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX received_by_expiry ON received (expires_at);

-- Nodes that serve. number: the upper bits of the tokens of its leases. beat_at: when it last said that it lives, by
-- PostgreSQL's own clock, the only one that all nodes share.
CREATE TABLE node (
    number  INTEGER PRIMARY KEY,
    beat_at TIMESTAMPTZ NOT NULL
);
CREATE SEQUENCE node_number AS INTEGER MAXVALUE 32767 CYCLE;

-- What was not taken. origin: as in message.
CREATE TABLE refusal (
    source     BYTEA NOT NULL,
    id         BYTEA NOT NULL,
    at         BIGINT NOT NULL,
    status     INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    remote     TEXT,
    body_bytes BIGINT NOT NULL,
    origin     BYTEA NOT NULL,
    body       BYTEA NOT NULL,
    PRIMARY KEY (source, id)
);
CREATE INDEX refusal_by_time ON refusal (at);
