-- How the former ownership of a shard ended, and since when nobody owns it; 0: nobody ever did.
ALTER TABLE leases ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE leases ADD COLUMN released_at_ms INTEGER NOT NULL DEFAULT 0;

-- The shards a member owns, as its heartbeat says.
ALTER TABLE members ADD COLUMN shards TEXT NOT NULL DEFAULT '';
