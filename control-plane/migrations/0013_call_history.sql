-- The call history of an organization with all its accounts, latest first.
ALTER TABLE calls ADD COLUMN organization_id TEXT;
UPDATE calls SET organization_id = (SELECT a.organization_id FROM accounts a WHERE a.id = calls.account_id);
CREATE INDEX calls_of_organization ON calls (organization_id, admitted_us, account_id, call_id);
