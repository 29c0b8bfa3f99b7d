-- Ids are 20 bytes (see posthaste-core/src/id.rs); instants are microseconds since 1970 in UTC.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE environment (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
);

CREATE TABLE token (
    hash        BLOB PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    environment INTEGER NOT NULL,
    app         BLOB,
    read_only   INTEGER NOT NULL,
    hint        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) WITHOUT ROWID;

-- kind: 0 a customer, 1 the environment's own operational webhooks.
CREATE TABLE app (
    id          BLOB PRIMARY KEY,
    environment INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    uid         TEXT,
    name        TEXT NOT NULL,
    rate        INTEGER,
    metadata    TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX app_by_uid ON app (environment, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX app_by_environment ON app (environment, kind, id) WHERE deleted_at IS NULL;

-- sealed: the secrets and the custom headers, encrypted, bound to this id.
CREATE TABLE endpoint (
    id            BLOB PRIMARY KEY,
    app           BLOB NOT NULL,
    uid           TEXT,
    url           TEXT NOT NULL,
    description   TEXT NOT NULL,
    rate          INTEGER,
    disabled      INTEGER NOT NULL,
    event_types   TEXT,
    channels      TEXT,
    metadata      TEXT NOT NULL,
    sealed        BLOB NOT NULL,
    failing_since INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    deleted_at    INTEGER
) WITHOUT ROWID;
CREATE INDEX endpoint_by_app ON endpoint (app, id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX endpoint_by_uid ON endpoint (app, uid) WHERE uid IS NOT NULL AND deleted_at IS NULL;

CREATE TABLE event_type (
    environment INTEGER NOT NULL,
    name        TEXT NOT NULL,
    facts       TEXT NOT NULL,
    archived    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (environment, name)
) WITHOUT ROWID;

-- What happened. Clustered by app, so that an app's log is one range; bodies stand apart, so that walking it reads none.
CREATE TABLE message (
    app        BLOB NOT NULL,
    id         BLOB NOT NULL,
    event_type TEXT NOT NULL,
    event_id   TEXT,
    channels   TEXT,
    tags       TEXT,
    body       INTEGER,
    deliver_at INTEGER,
    created_at INTEGER NOT NULL,
    expunge_at INTEGER,
    PRIMARY KEY (app, id)
) WITHOUT ROWID;
CREATE INDEX message_to_expunge ON message (expunge_at) WHERE expunge_at IS NOT NULL AND body IS NOT NULL;

CREATE TABLE body (
    id    INTEGER PRIMARY KEY,
    bytes BLOB NOT NULL
);

CREATE TABLE event_key (
    app      BLOB NOT NULL,
    event_id TEXT NOT NULL,
    message  BLOB NOT NULL,
    PRIMARY KEY (app, event_id)
) WITHOUT ROWID;

-- Answers to requests that came with an idempotency key: a message, or a status and a body.
CREATE TABLE idempotency (
    key         BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    app         BLOB,
    message     BLOB,
    status      INTEGER,
    answer      BLOB,
    expires_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- What is owed: the queue itself. state: 0 waiting, 1 in flight, 2 delivered, 3 dead-lettered.
CREATE TABLE delivery (
    message     BLOB NOT NULL,
    endpoint    BLOB NOT NULL,
    app         BLOB NOT NULL,
    state       INTEGER NOT NULL,
    due_at      INTEGER,
    lease_token INTEGER,
    lease_until INTEGER,
    attempts    INTEGER NOT NULL,
    manual      INTEGER NOT NULL,
    why         TEXT,
    PRIMARY KEY (message, endpoint)
) WITHOUT ROWID;
CREATE INDEX delivery_waiting ON delivery (endpoint, due_at) WHERE state = 0;
CREATE INDEX delivery_in_flight ON delivery (lease_until) WHERE state = 1;
CREATE INDEX delivery_dead ON delivery (endpoint, message) WHERE state = 3;
CREATE INDEX delivery_by_endpoint ON delivery (endpoint, message);

-- What was tried; never changed, except that an answer can be expunged.
CREATE TABLE attempt (
    message       BLOB NOT NULL,
    id            BLOB NOT NULL,
    endpoint      BLOB NOT NULL,
    url           TEXT NOT NULL,
    manual        INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    dns_us        INTEGER NOT NULL,
    connect_us    INTEGER NOT NULL,
    tls_us        INTEGER NOT NULL,
    first_byte_us INTEGER NOT NULL,
    total_us      INTEGER NOT NULL,
    remote        TEXT,
    status        INTEGER NOT NULL,
    failure       TEXT,
    detail        TEXT,
    headers       TEXT,
    body          BLOB,
    truncated     INTEGER NOT NULL,
    PRIMARY KEY (message, id)
) WITHOUT ROWID;
CREATE INDEX attempt_by_endpoint ON attempt (endpoint, id);

CREATE TABLE job (
    id          BLOB PRIMARY KEY,
    environment INTEGER NOT NULL,
    app         BLOB NOT NULL,
    endpoint    BLOB NOT NULL,
    task        TEXT NOT NULL,
    since       INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    next        BLOB NOT NULL,
    done_count  INTEGER NOT NULL,
    finished    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX job_unfinished ON job (id) WHERE finished = 0;
