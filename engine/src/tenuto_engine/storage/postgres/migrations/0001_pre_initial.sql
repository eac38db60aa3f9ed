-- Layout 1. A new schema is made by all migrations in order, an older one by those it lacks: there is no second
-- description of the tables that could differ.
--
-- Text is compared by its bytes (COLLATE "C"): that is the order the port asks for, and no library of the server's
-- machine can change it under an index.

-- Exactly one row: what the schema is. `needs`: the lowest layout that a release must know to use it.
CREATE TABLE layout (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    version       bigint NOT NULL,
    needs         bigint NOT NULL,
    shards        bigint NOT NULL,
    app           text   NOT NULL,
    key_prefix    text   NOT NULL,
    created_at_ms bigint NOT NULL
);

-- The head of each instance as columns, because operations compare it; the inbox numbering, which only appends and
-- commits move; the index entry. No column that changes is indexed, and a page keeps room, so that an update stays on
-- its page and touches no index.
CREATE TABLE instances (
    key            bigint GENERATED ALWAYS AS IDENTITY,
    shard          bigint NOT NULL,
    instance       text   COLLATE "C" NOT NULL,
    status         bigint NOT NULL,
    hold           bigint NOT NULL,
    execution_id   text   COLLATE "C" NOT NULL,
    commit_id      text   COLLATE "C" NOT NULL,
    history_length bigint NOT NULL,
    taken          bigint NOT NULL,
    inbox_low      bigint NOT NULL,
    version        text   COLLATE "C" NOT NULL,
    start_id       text   COLLATE "C" NOT NULL,
    inbox_next     bigint NOT NULL,
    control_next   bigint NOT NULL,
    name           text   COLLATE "C" NOT NULL,
    index_status   bigint NOT NULL,
    created_at_ms  bigint NOT NULL,
    PRIMARY KEY (shard, instance)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX instances_created ON instances (shard, created_at_ms, instance);

-- Partial: what has ended costs nothing here; the status of an instance changes few times in its life.
CREATE INDEX instances_open ON instances (shard, version) WHERE status NOT IN (4, 5, 6);

-- One row per record, under the names of every store: metadata, customStatus, history-000000, inbox-000000. Values are
-- not compressed: payloads often are already, and a commit would wait for it.
CREATE TABLE records (
    key   bigint NOT NULL,
    name  text   COLLATE "C" NOT NULL,
    value bytea  NOT NULL,
    PRIMARY KEY (key, name)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

ALTER TABLE records ALTER COLUMN value SET STORAGE EXTERNAL;

-- Instances that may run now. A table of its own rather than a column, for marking must not touch the indexes above.
CREATE TABLE ready (
    shard    bigint NOT NULL,
    version  text   COLLATE "C" NOT NULL,
    instance text   COLLATE "C" NOT NULL,
    at_ms    bigint NOT NULL,
    PRIMARY KEY (shard, version, instance)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX ready_oldest ON ready (shard, version, at_ms);

CREATE TABLE reminders (
    shard        bigint NOT NULL,
    version      text   COLLATE "C" NOT NULL,
    instance     text   COLLATE "C" NOT NULL,
    execution_id text   COLLATE "C" NOT NULL,
    event_id     bigint NOT NULL,
    kind         text   COLLATE "C" NOT NULL,
    due_at_ms    bigint NOT NULL,
    PRIMARY KEY (shard, version, instance, execution_id, event_id, kind)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX reminders_due ON reminders (shard, version, due_at_ms);

CREATE TABLE activities (
    shard        bigint NOT NULL,
    version      text   COLLATE "C" NOT NULL,
    instance     text   COLLATE "C" NOT NULL,
    execution_id text   COLLATE "C" NOT NULL,
    event_id     bigint NOT NULL,
    attempt      bigint NOT NULL,
    revision     bigint NOT NULL,
    look_at_ms   bigint NOT NULL,
    data         bytea  NOT NULL,
    PRIMARY KEY (shard, version, instance, execution_id, event_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX activities_look ON activities (shard, version, look_at_ms);

CREATE TABLE outbox (
    shard        bigint NOT NULL,
    number       bigint NOT NULL,
    target_shard bigint NOT NULL,
    body         bytea  NOT NULL,
    PRIMARY KEY (shard, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- The last outbox number of each shard: kept beside the outbox, because delivered messages leave it.
CREATE TABLE outbox_last (
    shard  bigint PRIMARY KEY,
    number bigint NOT NULL
) WITH (fillfactor = 10);

-- The highest number that each shard has taken from each other.
CREATE TABLE taken_from (
    shard        bigint NOT NULL,
    source_shard bigint NOT NULL,
    number       bigint NOT NULL,
    PRIMARY KEY (shard, source_shard)
) WITH (fillfactor = 50);

-- Ids of accepted commands, for the de-duplication window.
CREATE TABLE seen (
    shard bigint NOT NULL,
    id    text   COLLATE "C" NOT NULL,
    at_ms bigint NOT NULL,
    PRIMARY KEY (shard, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX seen_at ON seen (shard, at_ms);

-- Never deleted, so that the epoch never goes back. An empty token is nobody's. `cause` and `released_at_ms`: how and
-- when the last owner gave the shard up; 0 where none ever did.
CREATE TABLE leases (
    shard          bigint NOT NULL,
    version        text   COLLATE "C" NOT NULL,
    owner          text   COLLATE "C" NOT NULL,
    epoch          bigint NOT NULL,
    token          text   COLLATE "C" NOT NULL,
    expires_at_ms  bigint NOT NULL,
    cause          text   COLLATE "C" NOT NULL,
    released_at_ms bigint NOT NULL,
    PRIMARY KEY (shard, version)
) WITH (fillfactor = 10);

-- Calls that wait for an engine to claim them. Unlogged: nothing depends on them.
CREATE UNLOGGED TABLE hints (
    version      text   COLLATE "C" NOT NULL,
    name         text   COLLATE "C" NOT NULL,
    number       bigint GENERATED ALWAYS AS IDENTITY,
    instance     text   COLLATE "C" NOT NULL,
    execution_id text   COLLATE "C" NOT NULL,
    event_id     bigint NOT NULL,
    PRIMARY KEY (version, name, number)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

-- Unlogged: heartbeats cost no disk write, and after a crash members come again by themselves.
CREATE UNLOGGED TABLE members (
    engine_id     text   COLLATE "C" PRIMARY KEY,
    description   bytea  NOT NULL,
    expires_at_ms bigint NOT NULL
);

-- One row that names this life of the server. Unlogged: a server that recovers from a crash, or is promoted, empties
-- it, and that is how an engine sees that answered writes may be lost, even where the server's first process went on.
CREATE UNLOGGED TABLE life (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id  text NOT NULL
);
