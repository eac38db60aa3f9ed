-- Every statement of the SQLite driver. "-- name: x" begins the statement that `sql.QUERIES["x"]` gives.

-- -- operations ---------------------------------------------------------------------------------------------------

-- name: lease_token
SELECT token FROM leases WHERE shard = ? AND version = ?

-- What appends, commits and purges compare. The order of columns is that of `operations.Row`.
-- name: read_row
SELECT key, status, hold, execution_id, commit_id, history_length, version, start_id, inbox_next, control_next, ready_at_ms
FROM instances WHERE shard = ? AND instance = ?

-- name: insert_instance
INSERT INTO instances (shard, instance, status, hold, execution_id, commit_id, history_length, taken, inbox_low, version,
    start_id, inbox_next, control_next, ready_at_ms, name, index_status, created_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update_head
UPDATE instances SET status = ?, hold = ?, execution_id = ?, commit_id = ?, history_length = ?, taken = ?, inbox_low = ?,
    version = ?, start_id = ?, ready_at_ms = ?
WHERE key = ?

-- name: update_inbox
UPDATE instances SET inbox_next = ?, control_next = ?, ready_at_ms = ? WHERE key = ?

-- name: read_inbox_state
SELECT inbox_next, control_next, ready_at_ms FROM instances WHERE key = ?

-- name: update_ready
UPDATE instances SET ready_at_ms = ? WHERE key = ?

-- name: update_index
UPDATE instances SET name = ?, index_status = ?, created_at_ms = ? WHERE key = ?

-- name: delete_instance
DELETE FROM instances WHERE key = ?

-- name: insert_record
INSERT INTO records (key, name, value) VALUES (?, ?, ?)

-- name: replace_record
INSERT OR REPLACE INTO records (key, name, value) VALUES (?, ?, ?)

-- name: has_record
SELECT 1 FROM records WHERE key = ? AND name = ?

-- name: delete_record
DELETE FROM records WHERE key = ? AND name = ?

-- name: delete_records
DELETE FROM records WHERE key = ?

-- "." follows "-": this is every name that begins with "history-".
-- name: delete_history
DELETE FROM records WHERE key = ? AND name >= 'history-' AND name < 'history.'

-- name: set_reminder
INSERT OR REPLACE INTO reminders (shard, version, instance, execution_id, event_id, kind, due_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: reminder_due
SELECT due_at_ms FROM reminders
WHERE shard = ? AND version = ? AND instance = ? AND execution_id = ? AND event_id = ? AND kind = ?

-- name: delete_reminder
DELETE FROM reminders
WHERE shard = ? AND version = ? AND instance = ? AND execution_id = ? AND event_id = ? AND kind = ?

-- name: delete_reminders
DELETE FROM reminders WHERE shard = ? AND version = ? AND instance = ?

-- name: set_activity
INSERT OR REPLACE INTO activities
    (shard, version, instance, execution_id, event_id, attempt, revision, look_at_ms, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: activity_state
SELECT attempt, revision FROM activities
WHERE shard = ? AND version = ? AND instance = ? AND execution_id = ? AND event_id = ?

-- name: delete_activity
DELETE FROM activities WHERE shard = ? AND version = ? AND instance = ? AND execution_id = ? AND event_id = ?

-- name: delete_activities
DELETE FROM activities WHERE shard = ? AND version = ? AND instance = ?

-- name: read_outbox_last
SELECT number FROM outbox_last WHERE shard = ?

-- name: write_outbox_last
INSERT OR REPLACE INTO outbox_last (shard, number) VALUES (?, ?)

-- name: insert_outbox
INSERT INTO outbox (shard, number, target_shard, body) VALUES (?, ?, ?, ?)

-- name: delete_outbox
DELETE FROM outbox WHERE shard = ? AND number = ?

-- name: read_taken_from
SELECT number FROM taken_from WHERE shard = ? AND source_shard = ?

-- name: write_taken_from
INSERT OR REPLACE INTO taken_from (shard, source_shard, number) VALUES (?, ?, ?)

-- name: has_seen
SELECT 1 FROM seen WHERE shard = ? AND id = ? AND at_ms > ?

-- name: remember
INSERT OR REPLACE INTO seen (shard, id, at_ms) VALUES (?, ?, ?)

-- Bounded, so that no operation pays for the ids of a burst that ended long ago.
-- name: prune_seen
DELETE FROM seen WHERE shard = ?1 AND id IN (SELECT id FROM seen WHERE shard = ?1 AND at_ms <= ?2 ORDER BY at_ms LIMIT 100)

-- -- reads --------------------------------------------------------------------------------------------------------

-- name: read_instance
SELECT status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next, value
FROM instances JOIN records ON records.key = instances.key AND records.name = 'metadata'
WHERE shard = ? AND instance = ?

-- name: read_record
SELECT value FROM instances JOIN records ON records.key = instances.key AND records.name = ?3
WHERE shard = ?1 AND instance = ?2

-- name: read_inbox_bounds
SELECT key, inbox_low, inbox_next FROM instances WHERE shard = ? AND instance = ?

-- name: read_history_bounds
SELECT key, history_length FROM instances WHERE shard = ? AND instance = ?

-- name: read_value
SELECT value FROM records WHERE key = ? AND name = ?

-- name: read_ready
SELECT instance, ready_at_ms FROM instances
WHERE shard = ? AND version = ? AND ready_at_ms IS NOT NULL ORDER BY ready_at_ms LIMIT ?

-- name: read_reminders
SELECT kind, event_id, execution_id, instance, due_at_ms FROM reminders
WHERE shard = ? AND version = ? ORDER BY due_at_ms LIMIT ?

-- name: read_versions
SELECT DISTINCT version FROM instances WHERE shard = ?

-- name: count_reminders
SELECT count(*) FROM reminders WHERE shard = ? AND version = ?

-- name: count_open
SELECT count(*) FROM instances
WHERE shard = ? AND version = ? AND status NOT IN (SELECT value FROM json_each(?))

-- name: count_ready
SELECT count(*), ifnull(min(ready_at_ms), 0) FROM instances
WHERE shard = ? AND version = ? AND ready_at_ms IS NOT NULL

-- name: count_reminder_kinds
SELECT kind, count(*), count(CASE WHEN due_at_ms <= ?3 THEN 1 END), min(due_at_ms) FROM reminders
WHERE shard = ?1 AND version = ?2 GROUP BY kind

-- name: read_activities
SELECT event_id, execution_id, instance, attempt, revision, look_at_ms, data FROM activities
WHERE shard = ? AND version = ? AND look_at_ms <= ? ORDER BY look_at_ms LIMIT ?

-- name: read_activity
SELECT event_id, execution_id, instance, attempt, revision, look_at_ms, data FROM activities
WHERE shard = ? AND version = ? AND instance = ? AND execution_id = ? AND event_id = ?

-- name: read_outbox
SELECT number, target_shard, body FROM outbox WHERE shard = ? AND number > ? ORDER BY number LIMIT ?

-- `statuses` is a JSON list, empty for any. `before_*` is an exclusive cursor; a created_at_ms of -1 is none.
-- name: list_instances
SELECT instance, created_at_ms,
    status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next, value
FROM instances JOIN records ON records.key = instances.key AND records.name = 'metadata'
WHERE shard = :shard
    AND created_at_ms >= :created_from_ms
    AND (:created_to_ms = 0 OR created_at_ms < :created_to_ms)
    AND (:before_ms = -1 OR (created_at_ms, instance) < (:before_ms, :before_id))
    AND (:name = '' OR instances.name = :name)
    AND (:statuses = '[]' OR index_status IN (SELECT value FROM json_each(:statuses)))
    AND (:id_prefix = '' OR substr(instance, 1, length(:id_prefix)) = :id_prefix)
ORDER BY created_at_ms DESC, instance DESC
LIMIT :limit

-- name: raw_records
SELECT records.name, value FROM instances JOIN records ON records.key = instances.key
WHERE shard = ? AND instance = ? ORDER BY records.name LIMIT ?

-- -- leases and members -------------------------------------------------------------------------------------------

-- name: read_lease
SELECT owner, epoch, expires_at_ms, cause, released_at_ms FROM leases WHERE shard = ? AND version = ?

-- name: write_lease
INSERT OR REPLACE INTO leases (shard, version, owner, epoch, token, expires_at_ms) VALUES (?, ?, ?, ?, ?, ?)

-- name: renew_lease
UPDATE leases SET expires_at_ms = ?4 WHERE shard = ?1 AND version = ?2 AND token = ?3 AND ?3 <> ''

-- name: release_lease
UPDATE leases SET owner = '', token = '', expires_at_ms = 0, cause = ?4, released_at_ms = ?5
WHERE shard = ?1 AND version = ?2 AND token = ?3

-- name: write_member
INSERT OR REPLACE INTO members (engine_id, version, capacity, draining, has_workers, address, shards, expires_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: delete_member
DELETE FROM members WHERE engine_id = ?

-- name: read_members
SELECT engine_id, version, capacity, draining, has_workers, address, shards, expires_at_ms FROM members
WHERE expires_at_ms > ? ORDER BY engine_id

-- name: delete_expired_members
DELETE FROM members WHERE expires_at_ms <= ?

-- -- audit: whole shards, for those who check them -----------------------------------------------------------------

-- name: audit_instances
SELECT instance, name, index_status, created_at_ms, version, ready_at_ms FROM instances WHERE shard = ?

-- name: audit_instance
SELECT key, status, hold, execution_id, commit_id, history_length, taken, inbox_low, version, start_id, inbox_next,
    name, index_status, created_at_ms
FROM instances WHERE shard = ? AND instance = ?

-- name: audit_records
SELECT name, value FROM records WHERE key = ?

-- name: audit_leases
SELECT version, owner, epoch, token, expires_at_ms FROM leases WHERE shard = ?

-- name: audit_reminders
SELECT version, due_at_ms, kind, event_id, execution_id, instance FROM reminders WHERE shard = ?

-- name: audit_activities
SELECT version, event_id, execution_id, instance, attempt, revision, look_at_ms, data FROM activities WHERE shard = ?

-- name: audit_outbox
SELECT number, target_shard, body FROM outbox WHERE shard = ? ORDER BY number

-- name: audit_taken_from
SELECT source_shard, number FROM taken_from WHERE shard = ? ORDER BY source_shard

-- name: audit_seen
SELECT id, at_ms FROM seen WHERE shard = ?

-- name: audit_lost_records
SELECT key, name FROM records WHERE key NOT IN (SELECT key FROM instances)

-- name: audit_beyond
SELECT 'instances', shard FROM instances WHERE shard >= ?1 UNION SELECT 'reminders', shard FROM reminders WHERE shard >= ?1
UNION SELECT 'activities', shard FROM activities WHERE shard >= ?1 UNION SELECT 'outbox', shard FROM outbox WHERE shard >= ?1
UNION SELECT 'leases', shard FROM leases WHERE shard >= ?1
