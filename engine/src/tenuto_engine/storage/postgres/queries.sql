-- Every statement of the PostgreSQL driver that is not a function of `code.sql`. "-- name: x" begins the statement that
-- `sql.QUERIES["x"]` gives. Parameters and results are bigint, text, bytea and arrays of them, in binary.

-- name: execute_group
SELECT execute_group($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- -- reads --------------------------------------------------------------------------------------------------------

-- name: now_ms
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint

-- Instances are found in the order of the ids given; the missing ones are left out.
-- name: read_instances
SELECT instance, status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next,
    r.value
FROM instances AS i JOIN records AS r ON r.key = i.key AND r.name = 'metadata'
WHERE i.shard = $1 AND i.instance = ANY ($2::text[])

-- name: read_record
SELECT r.value FROM instances AS i JOIN records AS r ON r.key = i.key AND r.name = $3
WHERE i.shard = $1 AND i.instance = $2

-- Numbers that were never given, or whose messages are certainly gone, are not asked for one by one.
-- name: read_inbox
SELECT n, r.value FROM instances AS i
CROSS JOIN LATERAL generate_series(greatest($3::bigint, i.inbox_low), least($4::bigint, i.inbox_next) - 1) AS n
JOIN records AS r ON r.key = i.key AND r.name = record_name('inbox-', n)
WHERE i.shard = $1 AND i.instance = $2 ORDER BY n LIMIT $5

-- `total` is the size up to and with the record. The first is read whatever its size.
-- name: read_history
SELECT n, value FROM (
    SELECT n, r.value, sum(octet_length(r.value)) OVER (ORDER BY n) AS total FROM instances AS i
    CROSS JOIN LATERAL generate_series($3::bigint, least($4::bigint, i.history_length) - 1) AS n
    JOIN records AS r ON r.key = i.key AND r.name = record_name('history-', n)
    WHERE i.shard = $1 AND i.instance = $2
) AS page WHERE total <= $5::bigint OR n = $3 ORDER BY n

-- name: read_ready
SELECT w.shard, r.instance, r.at_ms FROM unnest($1::bigint[]) AS w (shard)
CROSS JOIN LATERAL (
    SELECT instance, at_ms FROM ready WHERE shard = w.shard AND version = $2 ORDER BY at_ms LIMIT $3
) AS r
ORDER BY w.shard, r.at_ms

-- name: read_reminders
SELECT kind, event_id, execution_id, instance, due_at_ms FROM reminders
WHERE shard = $1 AND version = $2 ORDER BY due_at_ms LIMIT $3

-- name: read_versions
SELECT DISTINCT version FROM instances WHERE shard = ANY ($1::bigint[])

-- name: count_reminders
SELECT count(*) FROM reminders WHERE shard = ANY ($1::bigint[]) AND version = $2

-- name: count_open
SELECT shard, count(*) FROM instances
WHERE shard = ANY ($1::bigint[]) AND version = $2 AND status NOT IN (4, 5, 6) GROUP BY shard

-- name: count_ready
SELECT shard, count(*), min(at_ms) FROM ready WHERE shard = ANY ($1::bigint[]) AND version = $2 GROUP BY shard

-- name: count_reminder_kinds
SELECT shard, kind, count(*), count(*) FILTER (WHERE due_at_ms <= $3), min(due_at_ms) FROM reminders
WHERE shard = ANY ($1::bigint[]) AND version = $2 GROUP BY shard, kind

-- name: read_activities
SELECT event_id, execution_id, instance, attempt, revision, look_at_ms, data FROM activities
WHERE shard = $1 AND version = $2 AND look_at_ms <= $3 ORDER BY look_at_ms LIMIT $4

-- name: read_calls
SELECT w.place, a.event_id, a.execution_id, a.instance, a.attempt, a.revision, a.look_at_ms, a.data
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[])
    WITH ORDINALITY AS w (shard, instance, execution_id, event_id, place)
JOIN activities AS a ON a.shard = w.shard AND a.version = $1 AND a.instance = w.instance
    AND a.execution_id = w.execution_id AND a.event_id = w.event_id

-- name: read_events
SELECT w.place, r.value
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) WITH ORDINALITY AS w (shard, instance, n, place)
JOIN instances AS i ON i.shard = w.shard AND i.instance = w.instance
JOIN records AS r ON r.key = i.key AND r.name = record_name('history-', w.n)

-- What exceeds the bound, by at most one push, is dropped.
-- name: push_hints
INSERT INTO hints (version, name, instance, execution_id, event_id)
SELECT $1, w.name, w.instance, w.execution_id, w.event_id
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[])
    WITH ORDINALITY AS w (name, instance, execution_id, event_id, place)
JOIN (
    SELECT names.name, (SELECT count(*) FROM hints AS h WHERE h.version = $1 AND h.name = names.name) AS n
    FROM (SELECT DISTINCT unnest($2::text[]) AS name) AS names
) AS held ON held.name = w.name AND held.n < $6
ORDER BY w.place

-- name: take_hints
WITH chosen AS (
    SELECT h.version, h.name, h.number FROM hints AS h
    WHERE h.version = $1 AND h.name = ANY ($2::text[])
    ORDER BY array_position($2::text[], h.name), h.number LIMIT $3 FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM hints AS h USING chosen AS c
    WHERE h.version = c.version AND h.name = c.name AND h.number = c.number
    RETURNING h.name, h.number, h.event_id, h.execution_id, h.instance
)
SELECT name, event_id, execution_id, instance FROM taken ORDER BY array_position($2::text[], name), number

-- name: read_outbox
SELECT number, target_shard, body FROM outbox WHERE shard = $1 AND number > $2 ORDER BY number LIMIT $3

-- An empty list of statuses is any. $7 and $8 are an exclusive cursor; -1 is none. Nulls would hide the index.
-- name: list_instances
SELECT created_at_ms,
    instance, status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next,
    r.value
FROM instances AS i JOIN records AS r ON r.key = i.key AND r.name = 'metadata'
WHERE i.shard = $1
    AND i.created_at_ms >= $2
    AND ($3::bigint = 0 OR i.created_at_ms < $3)
    AND ($4::text = '' OR i.name = $4)
    AND (cardinality($5::bigint[]) = 0 OR i.index_status = ANY ($5))
    AND starts_with(i.instance, $6)
    AND ($7::bigint = -1 OR (i.created_at_ms, i.instance) < ($7, $8::text))
ORDER BY i.created_at_ms DESC, i.instance DESC LIMIT $9

-- name: raw_records
SELECT r.name, r.value FROM instances AS i JOIN records AS r ON r.key = i.key
WHERE i.shard = $1 AND i.instance = $2 ORDER BY r.name LIMIT $3

-- -- audit: whole shards, for those who check them -----------------------------------------------------------------

-- name: audit_layout
SELECT version, needs, shards, app, key_prefix, current_setting('server_version') FROM layout

-- name: audit_instances
SELECT instance, name, index_status, created_at_ms FROM instances WHERE shard = $1 ORDER BY instance

-- name: audit_instance
SELECT status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next,
    (SELECT r.value FROM records AS r WHERE r.key = i.key AND r.name = 'metadata'), name, index_status, created_at_ms
FROM instances AS i WHERE shard = $1 AND instance = $2

-- name: audit_records
SELECT r.name, r.value FROM instances AS i JOIN records AS r ON r.key = i.key AND r.name <> 'metadata'
WHERE i.shard = $1 AND i.instance = $2 ORDER BY r.name

-- name: audit_ready
SELECT version, instance, at_ms FROM ready WHERE shard = $1 ORDER BY version, instance

-- name: audit_unknown_ready
SELECT r.version, r.instance FROM ready AS r WHERE r.shard = $1 AND NOT EXISTS (
    SELECT FROM instances AS i WHERE i.shard = r.shard AND i.instance = r.instance AND i.version = r.version
) ORDER BY 1, 2

-- name: audit_leases
SELECT version, owner, epoch, token, expires_at_ms FROM leases WHERE shard = $1 ORDER BY version

-- name: audit_reminders
SELECT version, due_at_ms, kind, event_id, execution_id, instance FROM reminders WHERE shard = $1

-- name: audit_activities
SELECT version, event_id, execution_id, instance, attempt, revision, look_at_ms, data FROM activities WHERE shard = $1

-- name: audit_outbox
SELECT number, target_shard, body FROM outbox WHERE shard = $1 ORDER BY number

-- name: audit_outbox_last
SELECT number FROM outbox_last WHERE shard = $1

-- name: audit_taken_from
SELECT source_shard, number FROM taken_from WHERE shard = $1 AND number > 0 ORDER BY source_shard

-- name: audit_seen
SELECT id, at_ms FROM seen WHERE shard = $1 ORDER BY id

-- name: audit_lost_records
SELECT key, name FROM records AS r WHERE NOT EXISTS (SELECT FROM instances AS i WHERE i.key = r.key) ORDER BY 1, 2

-- name: audit_beyond
SELECT 'instances', shard FROM instances WHERE shard >= $1 UNION SELECT 'ready', shard FROM ready WHERE shard >= $1
UNION SELECT 'reminders', shard FROM reminders WHERE shard >= $1
UNION SELECT 'activities', shard FROM activities WHERE shard >= $1
UNION SELECT 'outbox', shard FROM outbox WHERE shard >= $1 UNION SELECT 'leases', shard FROM leases WHERE shard >= $1

-- -- leases and members -------------------------------------------------------------------------------------------

-- name: apply_settings
SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS s (name, value)

-- name: wait_for_own_disk
SELECT set_config('synchronous_commit', 'local', false) WHERE current_setting('synchronous_commit') = 'off'

-- name: acquire
SELECT granted::int::bigint, holder, its_epoch, its_token, remaining_ms, its_cause, free_ms
FROM acquire($1, $2, $3, $4, $5, $6::bigint = 1)

-- name: renew
SELECT renewed::int::bigint FROM renew($1, $2, $3, $4) AS renewed

-- name: release
SELECT release($1, $2, $3, $4)::text

-- name: heartbeat
SELECT at_ms, described, remaining_ms FROM heartbeat($1, $2, $3)

-- name: leave
DELETE FROM members WHERE engine_id = $1

-- name: roll
SELECT described FROM roll(now_us() / 1000)

-- -- nudges -------------------------------------------------------------------------------------------------------

-- name: publish
SELECT pg_notify(n.channel, n.payload)::text FROM unnest($1::text[], $2::text[]) AS n (channel, payload)
