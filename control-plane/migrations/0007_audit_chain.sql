-- The hash chains of the audit: one per organization, one of the whole installation.

-- The account that an entry concerns; NULL: none in particular.
ALTER TABLE audit ADD COLUMN account_id TEXT;
-- Numbered within its chain, from 1, without a gap.
ALTER TABLE audit ADD COLUMN sequence BIGINT;

UPDATE audit SET account_id = COALESCE((SELECT k.account_id FROM keys k WHERE k.id = audit.subject), subject);
UPDATE audit SET sequence = (SELECT COUNT(*) FROM audit AS former
    WHERE former.organization_id = audit.organization_id AND former.id <= audit.id);
UPDATE audit SET sequence = (SELECT COUNT(*) FROM audit AS former
    WHERE former.organization_id IS NULL AND former.id <= audit.id) WHERE organization_id IS NULL;

CREATE UNIQUE INDEX audit_by_sequence ON audit (organization_id, sequence);
CREATE INDEX audit_of_account ON audit (account_id, sequence);

-- Rows of `audit` and of this table are written once and never changed.
CREATE TABLE audit_seals (
    entry_id BIGINT PRIMARY KEY,
    seal     TEXT NOT NULL
);

-- How far each chain is sealed: an organization's id, or `installation`.
CREATE TABLE audit_chains (
    chain  TEXT PRIMARY KEY,
    sealed BIGINT NOT NULL,
    -- Of its last sealed entry.
    seal   TEXT NOT NULL
);

-- The id of the last entry that is sealed.
INSERT INTO counters (name, value) VALUES ('audit_sealed', 0);
