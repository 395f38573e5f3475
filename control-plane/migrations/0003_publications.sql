-- For each shard of the hub, the last publication that concerns it; written with what is published.
CREATE TABLE publications (
    shard  BIGINT PRIMARY KEY,
    number BIGINT NOT NULL
);

-- The shard of the hub that an organization is in. NULL: an earlier version made it, the next start
-- fills it in.
ALTER TABLE organizations ADD COLUMN shard BIGINT;
CREATE INDEX organizations_of_shard ON organizations (shard, id);
