-- For how many days call records of an account say who called whom; NULL: as its organization's, and of
-- those for ever.
ALTER TABLE accounts ADD COLUMN call_retention_days BIGINT;
-- What was to be purged of calls admitted before this, is.
ALTER TABLE accounts ADD COLUMN calls_purged_us BIGINT NOT NULL DEFAULT 0;

-- When it was purged of what it said of people; NULL: it is whole.
ALTER TABLE calls ADD COLUMN purged_us BIGINT;

-- Deleted accounts by the order in which they were closed, so that who posts call records hears of each.
ALTER TABLE accounts ADD COLUMN closing BIGINT;
-- 1: nothing about people is left of a deleted account.
ALTER TABLE accounts ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;
UPDATE accounts SET closing = numbered.number FROM (
    SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS number FROM accounts WHERE status = 'deleted'
) AS numbered WHERE numbered.id = accounts.id;
INSERT INTO counters (name, value) SELECT 'closing', COUNT(*) FROM accounts WHERE status = 'deleted';
CREATE UNIQUE INDEX accounts_by_closing ON accounts (closing) WHERE closing IS NOT NULL;

-- What the contents of an entry are hashed with before they go into its seal, so that they can be erased
-- later and the chain still holds. NULL: an earlier version wrote the entry, the contents themselves are
-- in its seal. Empty: they were erased.
ALTER TABLE audit ADD COLUMN salt TEXT;
