-- The operations of the store port as functions: one call executes a whole group. "%code%" is the schema that holds
-- them; its name ends in a hash of this file, so that releases that differ run side by side on the same tables.
-- The schemas of the tables and of the code are in the session's search_path.
--
-- Every answer is one line of words; where it has parts, each follows on a line of its own (see `answers.py`).

-- name: types
CREATE SCHEMA %code%;

CREATE TYPE %code%.message AS (id text, body bytea, execution_id text, control boolean, remember boolean);

CREATE TYPE %code%.reminder AS (kind text, event_id bigint, execution_id text, instance text, due_at_ms bigint);

CREATE TYPE %code%.activity AS (
    event_id bigint, execution_id text, instance text, attempt bigint, revision bigint, look_at_ms bigint, data bytea
);

CREATE TYPE %code%.head AS (
    status bigint, hold bigint, execution_id text, commit_id text, history_length bigint, taken bigint,
    inbox_low bigint, version text, start_id text
);

CREATE TYPE %code%.new_instance AS (
    instance text, head %code%.head, metadata bytea, name text, index_status bigint, created_at_ms bigint,
    messages %code%.message[], history bytea[], reminders %code%.reminder[], replaced bigint[]
);

CREATE TYPE %code%.sending AS (instance text, message %code%.message);

-- `name` is null where the index entry stays.
CREATE TYPE %code%.turn AS (
    base_execution_id text, base_commit_id text, base_length bigint, head %code%.head, metadata bytea,
    consumed bigint[], history bytea[], custom_status bytea,
    activities_removed %code%.activity[], activities_set %code%.activity[],
    reminders_removed %code%.reminder[], reminders_set %code%.reminder[],
    outbox_targets bigint[], outbox_bodies bytea[], appends %code%.sending[],
    name text, index_status bigint, created_at_ms bigint, ready_at_ms bigint, renew boolean, keep_ready boolean
);

CREATE TYPE %code%.delivery AS (number bigint, instance text, message %code%.message, new %code%.new_instance);

-- One operation of any kind; what a kind does not need is null. `lease`: the place of its lease among those that the
-- group names, 0 where it needs none. `number`: an attempt, a revision, or the source shard.
CREATE TYPE %code%.operation AS (
    kind text, shard bigint, lease bigint, version text, instance text, execution_id text, number bigint,
    message %code%.message, turn %code%.turn, new %code%.new_instance, deliveries %code%.delivery[],
    reminders %code%.reminder[], activities %code%.activity[], numbers bigint[]
);

-- Six digits are the least; longer numbers keep all of theirs.
-- name: record_name
CREATE FUNCTION %code%.record_name(kind text, number bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN kind || CASE WHEN number < 1000000 THEN lpad(number::text, 6, '0') ELSE number::text END;

-- name: now_us
CREATE FUNCTION %code%.now_us() RETURNS bigint LANGUAGE sql VOLATILE
RETURN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;

-- name: is_seen
CREATE FUNCTION %code%.is_seen(home bigint, command_id text, now_ms bigint, window_ms bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM seen WHERE shard = home AND id = command_id AND at_ms > now_ms - window_ms);
END $$;

-- Remembers a command id, and forgets a few whose window is over: more than arrive, so the table stays small. Rows that
-- another transaction is forgetting are left to it.
-- name: remember
CREATE FUNCTION %code%.remember(home bigint, command_id text, now_ms bigint, window_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF command_id = '' THEN RETURN; END IF;
    DELETE FROM seen WHERE shard = home AND id = ANY (ARRAY(
        SELECT id FROM seen WHERE shard = home AND at_ms <= now_ms - window_ms
        ORDER BY at_ms LIMIT 8 FOR UPDATE SKIP LOCKED
    ));
    INSERT INTO seen (shard, id, at_ms) VALUES (home, command_id, now_ms)
    ON CONFLICT (shard, id) DO UPDATE SET at_ms = excluded.at_ms;
END $$;

-- name: set_reminders
CREATE FUNCTION %code%.set_reminders(home bigint, of_version text, wanted %code%.reminder[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reminders (shard, version, instance, execution_id, event_id, kind, due_at_ms)
    SELECT home, of_version, w.instance, w.execution_id, w.event_id, w.kind, w.due_at_ms FROM unnest(wanted) AS w
    ON CONFLICT (shard, version, instance, execution_id, event_id, kind) DO UPDATE SET due_at_ms = excluded.due_at_ms;
END $$;

-- name: drop_reminders
CREATE FUNCTION %code%.drop_reminders(home bigint, of_version text, unwanted %code%.reminder[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM reminders AS r USING unnest(unwanted) AS u
    WHERE r.shard = home AND r.version = of_version AND r.instance = u.instance AND r.execution_id = u.execution_id
        AND r.event_id = u.event_id AND r.kind = u.kind;
END $$;

-- name: drop_activities
CREATE FUNCTION %code%.drop_activities(home bigint, of_version text, unwanted %code%.activity[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM activities AS a USING unnest(unwanted) AS u
    WHERE a.shard = home AND a.version = of_version AND a.instance = u.instance AND a.execution_id = u.execution_id
        AND a.event_id = u.event_id;
END $$;

-- Removes an instance and all that names it; remembers its start id, so that a late repetition stays a duplicate.
-- name: unlink
CREATE FUNCTION %code%.unlink(home bigint, its_id text, now_ms bigint, window_ms bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    its_key bigint;
    its_version text;
    its_start text;
BEGIN
    DELETE FROM instances WHERE shard = home AND instance = its_id
    RETURNING key, version, start_id INTO its_key, its_version, its_start;
    DELETE FROM records WHERE key = its_key;
    DELETE FROM reminders WHERE shard = home AND version = its_version AND instance = its_id;
    DELETE FROM activities WHERE shard = home AND version = its_version AND instance = its_id;
    DELETE FROM ready WHERE shard = home AND version = its_version AND instance = its_id;
    PERFORM remember(home, its_start, now_ms, window_ms);
END $$;

-- Why an instance may not be made; null if it may.
-- name: refuse_create
CREATE FUNCTION %code%.refuse_create(home bigint, new %code%.new_instance, now_ms bigint, window_ms bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    start_id text := (new.head).start_id;
    present record;
    is_present boolean;
BEGIN
    SELECT i.status, i.execution_id, i.start_id INTO present FROM instances AS i
    WHERE i.shard = home AND i.instance = new.instance FOR UPDATE;
    is_present := FOUND;
    IF is_present AND start_id <> '' AND present.start_id = start_id THEN
        RETURN format('exists 1 %s %s', present.status, present.execution_id);
    END IF;
    IF start_id <> '' AND is_seen(home, start_id, now_ms, window_ms) THEN
        RETURN format('exists 1 %s ', CASE WHEN is_present THEN present.status ELSE 4 END);
    END IF;
    IF is_present AND NOT present.status = ANY (new.replaced) THEN
        RETURN format('exists 0 %s %s', present.status, present.execution_id);
    END IF;
    RETURN NULL;
END $$;

-- name: create_instance
CREATE FUNCTION %code%.create_instance(home bigint, new %code%.new_instance, now_ms bigint, window_ms bigint)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    h %code%.head := new.head;
    inbox_end bigint := cardinality(new.messages);
    control_end bigint;
    refusal text;
    its_key bigint;
    is_ready boolean;
BEGIN
    SELECT coalesce(max(w.place), 0) INTO control_end FROM unnest(new.messages) WITH ORDINALITY
        AS w (id, body, execution_id, control, remember, place) WHERE w.control;
    LOOP
        refusal := refuse_create(home, new, now_ms, window_ms);
        IF refusal IS NOT NULL THEN RETURN refusal; END IF;
        IF cardinality(new.replaced) > 0 THEN
            PERFORM unlink(home, new.instance, now_ms, window_ms)
            FROM instances AS i WHERE i.shard = home AND i.instance = new.instance;
        END IF;
        INSERT INTO instances (shard, instance, status, hold, execution_id, commit_id, history_length, taken, inbox_low,
            version, start_id, inbox_next, control_next, name, index_status, created_at_ms)
        VALUES (home, new.instance, h.status, h.hold, h.execution_id, h.commit_id, h.history_length, h.taken, h.inbox_low,
            h.version, h.start_id, inbox_end, control_end, new.name, new.index_status, new.created_at_ms)
        ON CONFLICT (shard, instance) DO NOTHING RETURNING key INTO its_key;
        -- Another transaction made it meanwhile: look at what it made.
        EXIT WHEN FOUND;
    END LOOP;
    INSERT INTO records (key, name, value) VALUES (its_key, 'metadata', new.metadata);
    IF inbox_end > 0 THEN
        INSERT INTO records (key, name, value)
        SELECT its_key, record_name('inbox-', w.place - 1), w.body
        FROM unnest(new.messages) WITH ORDINALITY AS w (id, body, execution_id, control, remember, place);
    END IF;
    IF cardinality(new.history) > 0 THEN
        INSERT INTO records (key, name, value)
        SELECT its_key, record_name('history-', w.place - 1), w.value
        FROM unnest(new.history) WITH ORDINALITY AS w (value, place);
    END IF;
    IF cardinality(new.reminders) > 0 THEN PERFORM set_reminders(home, h.version, new.reminders); END IF;
    is_ready := CASE WHEN h.hold <> 0 THEN control_end > 0 ELSE inbox_end > 0 END;
    IF is_ready THEN
        INSERT INTO ready (shard, version, instance, at_ms) VALUES (home, h.version, new.instance, now_ms)
        ON CONFLICT (shard, version, instance) DO UPDATE SET at_ms = excluded.at_ms;
    END IF;
    RETURN CASE WHEN is_ready THEN 'created 1' ELSE 'created 0' END;
END $$;

-- Appends one message, or says why not. `closed`: the activity entry that goes with it, or null.
-- name: append_message
CREATE FUNCTION %code%.append_message(
    home bigint, to_instance text, m %code%.message, now_ms bigint, window_ms bigint,
    closed %code%.activity, at_attempt bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    i record;
    is_present boolean;
    open_attempt bigint;
BEGIN
    SELECT s.key, s.status, s.hold, s.execution_id, s.version, s.inbox_next INTO i FROM instances AS s
    WHERE s.shard = home AND s.instance = to_instance FOR UPDATE;
    is_present := FOUND;
    -- Behind the lock: a repetition must see what the command itself, still under way, has remembered.
    IF m.remember AND is_seen(home, m.id, now_ms, window_ms) THEN RETURN 'duplicate'; END IF;
    IF NOT is_present THEN RETURN 'refused not_found'; END IF;
    IF m.execution_id <> '' AND m.execution_id <> i.execution_id THEN RETURN 'refused stale_execution'; END IF;
    IF i.status IN (4, 5, 6) THEN RETURN 'refused terminal'; END IF;
    IF closed.instance IS NOT NULL THEN
        SELECT a.attempt INTO open_attempt FROM activities AS a
        WHERE a.shard = home AND a.version = i.version AND a.instance = closed.instance
            AND a.execution_id = closed.execution_id AND a.event_id = closed.event_id FOR UPDATE;
        IF NOT FOUND THEN RETURN 'refused activity_closed'; END IF;
        IF at_attempt NOT IN (0, open_attempt) THEN RETURN 'refused stale_attempt'; END IF;
        DELETE FROM activities AS a
        WHERE a.shard = home AND a.version = i.version AND a.instance = closed.instance
            AND a.execution_id = closed.execution_id AND a.event_id = closed.event_id;
    END IF;
    INSERT INTO records (key, name, value) VALUES (i.key, record_name('inbox-', i.inbox_next), m.body);
    UPDATE instances AS s
    SET inbox_next = s.inbox_next + 1,
        control_next = CASE WHEN m.control THEN s.inbox_next + 1 ELSE s.control_next END
    WHERE s.shard = home AND s.instance = to_instance;
    IF m.remember THEN PERFORM remember(home, m.id, now_ms, window_ms); END IF;
    IF m.control OR i.hold = 0 THEN
        INSERT INTO ready (shard, version, instance, at_ms) VALUES (home, i.version, to_instance, now_ms)
        ON CONFLICT (shard, version, instance) DO NOTHING;
    END IF;
    RETURN 'appended ' || i.inbox_next;
END $$;

-- Writes what a commit says of entries beside the instance.
-- name: write_entries
CREATE FUNCTION %code%.write_entries(home bigint, former text, following text, t %code%.turn) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(t.activities_removed) > 0 THEN
        PERFORM drop_activities(home, former, t.activities_removed);
    END IF;
    IF cardinality(t.reminders_removed) > 0 THEN PERFORM drop_reminders(home, former, t.reminders_removed); END IF;
    IF cardinality(t.activities_set) > 0 THEN
        INSERT INTO activities
            (shard, version, instance, execution_id, event_id, attempt, revision, look_at_ms, data)
        SELECT home, following, w.instance, w.execution_id, w.event_id, w.attempt, w.revision, w.look_at_ms, w.data
        FROM unnest(t.activities_set) AS w
        ON CONFLICT (shard, version, instance, execution_id, event_id) DO UPDATE
        SET attempt = excluded.attempt, revision = excluded.revision, look_at_ms = excluded.look_at_ms,
            data = excluded.data;
    END IF;
    IF cardinality(t.reminders_set) > 0 THEN PERFORM set_reminders(home, following, t.reminders_set); END IF;
END $$;

-- Settles the ready mark, last, of the instance as all else has left it.
-- name: settle_ready
CREATE FUNCTION %code%.settle_ready(
    op %code%.operation, t %code%.turn, its_key bigint, inbox_end bigint, control_end bigint, now_ms bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    h %code%.head := t.head;
    stays boolean;
BEGIN
    IF op.version <> h.version THEN
        DELETE FROM ready WHERE shard = op.shard AND version = op.version AND instance = op.instance;
    END IF;
    IF h.status IN (4, 5, 6) THEN
        stays := false;
    ELSIF h.hold <> 0 THEN
        -- A resume or terminate that came during the turn must still be seen.
        stays := control_end > 0 AND EXISTS (
            SELECT FROM records WHERE key = its_key AND name = record_name('inbox-', control_end - 1)
        );
    ELSE
        stays := t.keep_ready OR inbox_end <> h.taken;
    END IF;
    IF NOT stays THEN
        DELETE FROM ready WHERE shard = op.shard AND version = h.version AND instance = op.instance;
    ELSIF t.ready_at_ms <> 0 THEN
        INSERT INTO ready (shard, version, instance, at_ms)
        VALUES (op.shard, h.version, op.instance, t.ready_at_ms)
        ON CONFLICT (shard, version, instance) DO UPDATE SET at_ms = excluded.at_ms;
    ELSE
        INSERT INTO ready (shard, version, instance, at_ms) VALUES (op.shard, h.version, op.instance, now_ms)
        ON CONFLICT (shard, version, instance) DO NOTHING;
    END IF;
END $$;

-- name: commit_turn
CREATE FUNCTION %code%.commit_turn(op %code%.operation, now_us bigint, window_ms bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    t %code%.turn := op.turn;
    h %code%.head := t.head;
    i record;
    missing bigint;
    inbox_end bigint;
    control_end bigint;
    first_sent bigint := 0;
    sending %code%.sending;
    answer text;
    outcomes text := '';
BEGIN
    SELECT s.key, s.execution_id, s.commit_id, s.history_length, s.inbox_next, s.control_next INTO i
    FROM instances AS s WHERE s.shard = op.shard AND s.instance = op.instance FOR UPDATE;
    IF NOT FOUND THEN RETURN 'conflict missing '; END IF;
    IF i.commit_id = h.commit_id THEN RETURN 'repeated ' || i.inbox_next; END IF;
    IF i.execution_id <> t.base_execution_id THEN RETURN 'conflict execution ' || i.execution_id; END IF;
    IF i.commit_id <> t.base_commit_id THEN RETURN 'conflict commit ' || i.commit_id; END IF;
    IF i.history_length <> t.base_length THEN RETURN 'conflict length ' || i.history_length; END IF;
    IF cardinality(t.consumed) > 0 THEN
        SELECT w.number INTO missing FROM unnest(t.consumed) WITH ORDINALITY AS w (number, place)
        WHERE NOT EXISTS (
            SELECT FROM records AS r WHERE r.key = i.key AND r.name = record_name('inbox-', w.number)
        ) ORDER BY w.place LIMIT 1;
        IF FOUND THEN RETURN 'conflict message ' || missing; END IF;
    END IF;

    -- From here on everything is written.
    IF t.renew THEN
        -- "." follows "-": this is every name that begins with "history-".
        DELETE FROM records AS r WHERE r.key = i.key AND r.name >= 'history-' AND r.name < 'history.';
    END IF;
    IF cardinality(t.consumed) > 0 THEN
        DELETE FROM records AS r USING unnest(t.consumed) AS w (number)
        WHERE r.key = i.key AND r.name = record_name('inbox-', w.number);
    END IF;
    IF cardinality(t.history) > 0 THEN
        INSERT INTO records (key, name, value)
        SELECT i.key, record_name('history-', w.place - 1 + CASE WHEN t.renew THEN 0 ELSE t.base_length END), w.value
        FROM unnest(t.history) WITH ORDINALITY AS w (value, place);
    END IF;
    UPDATE records AS r SET value = t.metadata WHERE r.key = i.key AND r.name = 'metadata';
    IF t.custom_status IS NOT NULL THEN
        INSERT INTO records (key, name, value) VALUES (i.key, 'customStatus', t.custom_status)
        ON CONFLICT (key, name) DO UPDATE SET value = excluded.value;
    END IF;
    UPDATE instances AS s
    SET status = h.status, hold = h.hold, execution_id = h.execution_id, commit_id = h.commit_id,
        history_length = h.history_length, taken = h.taken, inbox_low = h.inbox_low, version = h.version,
        start_id = h.start_id, name = coalesce(t.name, s.name), index_status = coalesce(t.index_status, s.index_status),
        created_at_ms = coalesce(t.created_at_ms, s.created_at_ms)
    WHERE s.shard = op.shard AND s.instance = op.instance;
    PERFORM write_entries(op.shard, op.version, h.version, t);
    IF cardinality(t.outbox_targets) > 0 THEN
        -- Never below the clock: also a store that was set back gives no number twice.
        UPDATE outbox_last AS l SET number = greatest(l.number + 1, now_us) + cardinality(t.outbox_targets) - 1
        WHERE l.shard = op.shard RETURNING l.number - cardinality(t.outbox_targets) + 1 INTO first_sent;
        INSERT INTO outbox (shard, number, target_shard, body)
        SELECT op.shard, first_sent + w.place - 1, w.target, w.body
        FROM unnest(t.outbox_targets, t.outbox_bodies) WITH ORDINALITY AS w (target, body, place);
    END IF;
    inbox_end := i.inbox_next;
    control_end := i.control_next;
    IF cardinality(t.appends) > 0 THEN
        FOREACH sending IN ARRAY t.appends LOOP
            answer := append_message(op.shard, sending.instance, sending.message, now_us / 1000, window_ms, NULL, 0);
            outcomes := outcomes || E'\n' || answer;
        END LOOP;
        SELECT s.inbox_next, s.control_next INTO inbox_end, control_end
        FROM instances AS s WHERE s.shard = op.shard AND s.instance = op.instance;
    END IF;
    PERFORM settle_ready(op, t, i.key, inbox_end, control_end, now_us / 1000);
    RETURN format('committed %s %s %s', inbox_end, first_sent, cardinality(t.outbox_targets)) || outcomes;
END $$;

-- name: fire_reminder
CREATE FUNCTION %code%.fire_reminder(op %code%.operation, now_ms bigint, window_ms bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    wanted %code%.reminder := op.reminders[1];
    due bigint;
    answer text;
BEGIN
    SELECT r.due_at_ms INTO due FROM reminders AS r
    WHERE r.shard = op.shard AND r.version = op.version AND r.instance = wanted.instance
        AND r.execution_id = wanted.execution_id AND r.event_id = wanted.event_id AND r.kind = wanted.kind FOR UPDATE;
    IF NOT FOUND THEN RETURN 'refused gone'; END IF;
    IF due > now_ms THEN RETURN 'refused early'; END IF;
    PERFORM drop_reminders(op.shard, op.version, op.reminders);
    answer := append_message(op.shard, wanted.instance, op.message, now_ms, window_ms, NULL, 0);
    RETURN CASE WHEN starts_with(answer, 'refused ') THEN 'dropped ' || substr(answer, 9) ELSE answer END;
END $$;

-- name: replace_activity
CREATE FUNCTION %code%.replace_activity(op %code%.operation) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wanted %code%.activity := op.activities[1];
    present bigint;
BEGIN
    SELECT a.revision INTO present FROM activities AS a
    WHERE a.shard = op.shard AND a.version = op.version AND a.instance = wanted.instance
        AND a.execution_id = wanted.execution_id AND a.event_id = wanted.event_id FOR UPDATE;
    IF NOT FOUND THEN RETURN 'refused activity_closed'; END IF;
    IF present <> op.number THEN RETURN 'refused stale_attempt'; END IF;
    UPDATE activities AS a
    SET attempt = wanted.attempt, revision = wanted.revision, look_at_ms = wanted.look_at_ms, data = wanted.data
    WHERE a.shard = op.shard AND a.version = op.version AND a.instance = wanted.instance
        AND a.execution_id = wanted.execution_id AND a.event_id = wanted.event_id;
    RETURN 'done';
END $$;

-- name: purge_instance
CREATE FUNCTION %code%.purge_instance(op %code%.operation, now_ms bigint, window_ms bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    i record;
BEGIN
    SELECT s.status, s.execution_id, s.version INTO i FROM instances AS s
    WHERE s.shard = op.shard AND s.instance = op.instance FOR UPDATE;
    IF NOT FOUND THEN RETURN 'refused not_found'; END IF;
    IF i.execution_id <> op.execution_id THEN RETURN 'refused stale_execution'; END IF;
    IF i.status NOT IN (4, 5, 6) THEN RETURN 'refused not_terminal'; END IF;
    PERFORM drop_reminders(op.shard, i.version, op.reminders);
    PERFORM drop_activities(op.shard, i.version, op.activities);
    PERFORM unlink(op.shard, op.instance, now_ms, window_ms);
    RETURN 'done';
END $$;

-- name: deliver
CREATE FUNCTION %code%.deliver(op %code%.operation, now_ms bigint, window_ms bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    highest bigint;
    before bigint;
    d %code%.delivery;
    answer text;
    answers text := 'delivered';
BEGIN
    SELECT f.number INTO before FROM taken_from AS f WHERE f.shard = op.shard AND f.source_shard = op.number;
    highest := before;
    FOREACH d IN ARRAY op.deliveries LOOP
        IF d.number <= highest THEN
            answer := CASE WHEN d.message IS NULL THEN refuse_create(op.shard, d.new, now_ms, window_ms) END;
            IF answer IS NULL OR NOT starts_with(answer, 'exists 0') THEN answer := 'duplicate'; END IF;
        ELSE
            highest := d.number;
            IF d.message IS NULL THEN
                answer := create_instance(op.shard, d.new, now_ms, window_ms);
            ELSE
                answer := append_message(op.shard, d.instance, d.message, now_ms, window_ms, NULL, 0);
            END IF;
        END IF;
        answers := answers || E'\n' || answer;
    END LOOP;
    IF highest <> before THEN
        UPDATE taken_from SET number = highest WHERE shard = op.shard AND source_shard = op.number;
    END IF;
    RETURN answers;
END $$;

-- Takes all locks of a group, in the one order that every transaction keeps: leases, numbers, instances, each sorted.
-- A lease is locked against those who grant and give it up, not against its renewal, which no load may delay.
-- Answers for each lease whether its token is the stored one; nobody can change that before the transaction ends.
-- name: lock_group
CREATE FUNCTION %code%.lock_group(
    lease_shards bigint[], lease_versions text[], lease_tokens text[], taking_shards bigint[], source_shards bigint[],
    sending_shards bigint[], instance_shards bigint[], instance_ids text[]
) RETURNS boolean[] LANGUAGE plpgsql AS $$
DECLARE
    held boolean[];
BEGIN
    IF cardinality(lease_shards) > 0 THEN
        PERFORM FROM leases AS l JOIN unnest(lease_shards, lease_versions) AS w (shard, version) USING (shard, version)
        ORDER BY l.shard, l.version FOR KEY SHARE OF l;
        -- A statement of its own, for it must see what those wrote whom the locks waited for.
        SELECT array_agg(l.token IS NOT NULL AND l.token <> '' ORDER BY w.place) INTO held
        FROM unnest(lease_shards, lease_versions, lease_tokens) WITH ORDINALITY AS w (shard, version, token, place)
        LEFT JOIN leases AS l ON l.shard = w.shard AND l.version = w.version AND l.token = w.token;
    END IF;
    IF cardinality(taking_shards) > 0 THEN
        INSERT INTO taken_from (shard, source_shard, number)
        SELECT w.shard, w.source_shard, 0 FROM unnest(taking_shards, source_shards) AS w (shard, source_shard)
        ORDER BY 1, 2 ON CONFLICT (shard, source_shard) DO NOTHING;
        PERFORM FROM taken_from AS f JOIN unnest(taking_shards, source_shards) AS w (shard, source_shard)
            USING (shard, source_shard)
        ORDER BY f.shard, f.source_shard FOR UPDATE OF f;
    END IF;
    IF cardinality(sending_shards) > 0 THEN
        INSERT INTO outbox_last (shard, number) SELECT w.shard, 0 FROM unnest(sending_shards) AS w (shard)
        ORDER BY 1 ON CONFLICT (shard) DO NOTHING;
        PERFORM FROM outbox_last AS o JOIN unnest(sending_shards) AS w (shard) USING (shard)
        ORDER BY o.shard FOR UPDATE OF o;
    END IF;
    -- Before the rows beside them, which no operation may lock first: see `wire.Packer.group`.
    IF cardinality(instance_shards) > 0 THEN
        PERFORM FROM instances AS i JOIN unnest(instance_shards, instance_ids) AS w (shard, instance)
            USING (shard, instance)
        ORDER BY i.shard, i.instance FOR UPDATE OF i;
    END IF;
    RETURN held;
END $$;

-- Executes a group, one line of answer for each operation. One statement and one message of the protocol: the server
-- has all of it before it takes the first lock, and ends the transaction without hearing from its client again.
-- name: execute_group
CREATE FUNCTION %code%.execute_group(
    operations %code%.operation[], lease_shards bigint[], lease_versions text[], lease_tokens text[],
    taking_shards bigint[], source_shards bigint[], sending_shards bigint[], instance_shards bigint[],
    instance_ids text[], window_ms bigint
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    op %code%.operation;
    held boolean[];
    now_us bigint;
    now_ms bigint;
BEGIN
    held := lock_group(lease_shards, lease_versions, lease_tokens, taking_shards, source_shards, sending_shards,
        instance_shards, instance_ids);
    now_us := now_us();
    now_ms := now_us / 1000;
    FOREACH op IN ARRAY operations LOOP
        IF op.lease > 0 AND NOT held[op.lease] THEN
            RETURN NEXT 'fenced';
            CONTINUE;
        END IF;
        CASE op.kind
            WHEN 'commit' THEN
                RETURN NEXT commit_turn(op, now_us, window_ms);
            WHEN 'append' THEN
                RETURN NEXT append_message(op.shard, op.instance, op.message, now_ms, window_ms, op.activities[1],
                    op.number);
            WHEN 'create' THEN
                RETURN NEXT create_instance(op.shard, op.new, now_ms, window_ms);
            WHEN 'replace' THEN
                RETURN NEXT replace_activity(op);
            WHEN 'fire' THEN
                RETURN NEXT fire_reminder(op, now_ms, window_ms);
            WHEN 'drop' THEN
                PERFORM drop_reminders(op.shard, op.version, op.reminders);
                RETURN NEXT 'done';
            WHEN 'deliver' THEN
                RETURN NEXT deliver(op, now_ms, window_ms);
            WHEN 'forget' THEN
                DELETE FROM outbox AS o WHERE o.shard = op.shard AND o.number = ANY (op.numbers);
                RETURN NEXT 'done';
            WHEN 'purge' THEN
                RETURN NEXT purge_instance(op, now_ms, window_ms);
        END CASE;
    END LOOP;
END $$;

-- -- leases -------------------------------------------------------------------------------------------------------

-- Grants each shard whose lease is free, expired or the caller's own. The rows are locked as no commit may lock them:
-- a commit is wholly before this or sees the new token.
-- name: acquire
CREATE FUNCTION %code%.acquire(
    shards bigint[], of_version text, new_owner text, lease_ms bigint, nonces text[], by_force boolean
) RETURNS TABLE (
    granted boolean, holder text, its_epoch bigint, its_token text, remaining_ms bigint, its_cause text, free_ms bigint
) LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
    l record;
BEGIN
    INSERT INTO leases (shard, version, owner, epoch, token, expires_at_ms, cause, released_at_ms)
    SELECT w.shard, of_version, '', 0, '', 0, '', 0 FROM unnest(shards) AS w (shard) ORDER BY 1
    ON CONFLICT (shard, version) DO NOTHING;
    PERFORM FROM leases AS s JOIN unnest(shards) AS w (shard) USING (shard) WHERE s.version = of_version
    ORDER BY s.shard FOR UPDATE OF s;
    now_ms := now_us() / 1000;
    FOR place IN 1 .. cardinality(shards) LOOP
        SELECT s.owner, s.epoch, s.expires_at_ms, s.cause, s.released_at_ms INTO l FROM leases AS s
        WHERE s.shard = shards[place] AND s.version = of_version;
        granted := by_force OR l.owner IN ('', new_owner) OR l.expires_at_ms <= now_ms;
        IF granted THEN
            UPDATE leases AS s
            SET owner = new_owner, epoch = s.epoch + 1, token = (s.epoch + 1) || '-' || nonces[place],
                expires_at_ms = now_ms + lease_ms
            WHERE s.shard = shards[place] AND s.version = of_version
            RETURNING s.owner, s.epoch, s.token, lease_ms INTO holder, its_epoch, its_token, remaining_ms;
            its_cause := CASE WHEN l.owner <> '' THEN 'expiry' ELSE l.cause END;
            free_ms := greatest(0, now_ms - CASE
                WHEN l.owner <> '' THEN l.expires_at_ms
                WHEN l.released_at_ms <> 0 THEN l.released_at_ms
                ELSE now_ms
            END);
        ELSE
            holder := l.owner;
            its_epoch := l.epoch;
            its_token := '';
            remaining_ms := l.expires_at_ms - now_ms;
            its_cause := '';
            free_ms := 0;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- name: renew
CREATE FUNCTION %code%.renew(shards bigint[], versions text[], tokens text[], lease_ms bigint) RETURNS SETOF boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM leases AS l JOIN unnest(shards, versions) AS w (shard, version) USING (shard, version)
    ORDER BY l.shard, l.version FOR NO KEY UPDATE OF l;
    RETURN QUERY
        WITH renewed AS (
            UPDATE leases AS l SET expires_at_ms = now_us() / 1000 + lease_ms
            FROM unnest(shards, versions, tokens) AS w (shard, version, token)
            WHERE l.shard = w.shard AND l.version = w.version AND l.token = w.token AND l.token <> ''
            RETURNING l.token
        )
        SELECT renewed.token IS NOT NULL
        FROM unnest(tokens) WITH ORDINALITY AS w (token, place) LEFT JOIN renewed ON renewed.token = w.token
        ORDER BY w.place;
END $$;

-- name: release
CREATE FUNCTION %code%.release(shards bigint[], versions text[], tokens text[], why text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM leases AS l JOIN unnest(shards, versions) AS w (shard, version) USING (shard, version)
    ORDER BY l.shard, l.version FOR UPDATE OF l;
    UPDATE leases AS l
    SET owner = '', token = '', expires_at_ms = 0, cause = why, released_at_ms = now_us() / 1000
    FROM unnest(shards, versions, tokens) AS w (shard, version, token)
    WHERE l.shard = w.shard AND l.version = w.version AND l.token = w.token AND l.token <> '';
END $$;

-- Who is alive, ordered by id. Rows that another engine is removing are left to it.
-- name: roll
CREATE FUNCTION %code%.roll(now_ms bigint) RETURNS TABLE (described bytea, remaining_ms bigint)
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM members WHERE engine_id = ANY (ARRAY(
        SELECT m.engine_id FROM members AS m WHERE m.expires_at_ms <= now_ms FOR UPDATE SKIP LOCKED
    ));
    RETURN QUERY SELECT m.description, m.expires_at_ms - now_ms FROM members AS m
    WHERE m.expires_at_ms > now_ms ORDER BY m.engine_id;
END $$;

-- name: heartbeat
CREATE FUNCTION %code%.heartbeat(who text, description_now bytea, ttl_ms bigint)
RETURNS TABLE (at_ms bigint, described bytea, remaining_ms bigint) LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := now_us() / 1000;
BEGIN
    INSERT INTO members (engine_id, description, expires_at_ms) VALUES (who, description_now, now_ms + ttl_ms)
    ON CONFLICT (engine_id) DO UPDATE
    SET description = excluded.description, expires_at_ms = excluded.expires_at_ms;
    RETURN QUERY SELECT now_ms, r.described, r.remaining_ms FROM roll(now_ms) AS r;
END $$;
