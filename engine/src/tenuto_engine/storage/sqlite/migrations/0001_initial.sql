-- Layout 1. A new file is made by all migrations in order, an older one by those it lacks: there is no second
-- description of the schema that could differ.

-- Exactly one row: what the file is.
CREATE TABLE layout (
    version       INTEGER NOT NULL,
    shards        INTEGER NOT NULL,
    app           TEXT    NOT NULL,
    key_prefix    TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL
);

-- The head of each instance as columns, because operations compare it; the inbox numbering, which only appends and
-- commits move; the ready mark (NULL: not ready), kept in the same row so that marking costs no statement; and the
-- index entry.
CREATE TABLE instances (
    key            INTEGER PRIMARY KEY,
    shard          INTEGER NOT NULL,
    instance       TEXT    NOT NULL,
    status         INTEGER NOT NULL,
    hold           INTEGER NOT NULL,
    execution_id   TEXT    NOT NULL,
    commit_id      TEXT    NOT NULL,
    history_length INTEGER NOT NULL,
    taken          INTEGER NOT NULL,
    inbox_low      INTEGER NOT NULL,
    version        TEXT    NOT NULL,
    start_id       TEXT    NOT NULL,
    inbox_next     INTEGER NOT NULL DEFAULT 0,
    control_next   INTEGER NOT NULL DEFAULT 0,
    ready_at_ms    INTEGER,
    name           TEXT    NOT NULL,
    index_status   INTEGER NOT NULL,
    created_at_ms  INTEGER NOT NULL,
    UNIQUE (shard, instance)
);

-- Partial: an instance that is not ready costs nothing here, however many there are.
CREATE INDEX instances_ready ON instances (shard, version, ready_at_ms) WHERE ready_at_ms IS NOT NULL;

CREATE INDEX instances_created ON instances (shard, created_at_ms, instance);

-- One row per record, under the names of every store: metadata, customStatus, history-000000, inbox-000000.
CREATE TABLE records (
    key   INTEGER NOT NULL,
    name  TEXT    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (key, name)
) WITHOUT ROWID;

CREATE TABLE reminders (
    shard        INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    instance     TEXT    NOT NULL,
    execution_id TEXT    NOT NULL,
    event_id     INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    due_at_ms    INTEGER NOT NULL,
    PRIMARY KEY (shard, version, instance, execution_id, event_id, kind)
) WITHOUT ROWID;

CREATE INDEX reminders_due ON reminders (shard, version, due_at_ms);

CREATE TABLE activities (
    shard        INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    instance     TEXT    NOT NULL,
    execution_id TEXT    NOT NULL,
    event_id     INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    look_at_ms   INTEGER NOT NULL,
    data         BLOB    NOT NULL,
    PRIMARY KEY (shard, version, instance, execution_id, event_id)
) WITHOUT ROWID;

CREATE INDEX activities_look ON activities (shard, version, look_at_ms);

CREATE TABLE outbox (
    shard        INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    target_shard INTEGER NOT NULL,
    body         BLOB    NOT NULL,
    PRIMARY KEY (shard, number)
) WITHOUT ROWID;

-- The last outbox number of each shard: kept beside the outbox, because delivered messages leave it.
CREATE TABLE outbox_last (
    shard  INTEGER PRIMARY KEY,
    number INTEGER NOT NULL
);

-- The highest number that each shard has taken from each other.
CREATE TABLE taken_from (
    shard        INTEGER NOT NULL,
    source_shard INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    PRIMARY KEY (shard, source_shard)
) WITHOUT ROWID;

-- Ids of accepted commands, for the de-duplication window.
CREATE TABLE seen (
    shard INTEGER NOT NULL,
    id    TEXT    NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (shard, id)
) WITHOUT ROWID;

CREATE INDEX seen_at ON seen (shard, at_ms);

-- Never deleted, so that the epoch never goes back. An empty token is nobody's.
CREATE TABLE leases (
    shard         INTEGER NOT NULL,
    version       TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    epoch         INTEGER NOT NULL,
    token         TEXT    NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (shard, version)
) WITHOUT ROWID;

CREATE TABLE members (
    engine_id     TEXT    PRIMARY KEY,
    version       TEXT    NOT NULL,
    capacity      INTEGER NOT NULL,
    draining      INTEGER NOT NULL,
    has_workers   INTEGER NOT NULL,
    address       TEXT    NOT NULL,
    expires_at_ms INTEGER NOT NULL
) WITHOUT ROWID;
