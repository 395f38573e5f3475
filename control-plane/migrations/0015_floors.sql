-- The sum of the floors of an organization's accounts that are not being deleted, in step with them: it is
-- looked at with every account that is made.
ALTER TABLE organizations ADD COLUMN floors BIGINT NOT NULL DEFAULT 0;
UPDATE organizations SET floors = (
    SELECT CAST(COALESCE(SUM(floor), 0) AS BIGINT) FROM accounts
    WHERE accounts.organization_id = organizations.id AND accounts.status IN ('active', 'suspended')
);
