-- What calls name besides their account: agents, phone numbers and providers.
CREATE TABLE resources (
    -- `agt_…`, `num_…` or `prv_…`.
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- 'agent', 'number' or 'provider'.
    kind            TEXT NOT NULL,
    -- As calls name it: an agent's id, a number's digits, a provider's name.
    name            TEXT NOT NULL,
    -- A number as it was written; an agent's or a provider's name once more.
    written         TEXT NOT NULL,
    -- For people to read.
    label           TEXT NOT NULL,
    -- NULL: shared by the organization's accounts.
    account_id      TEXT REFERENCES accounts (id),
    -- How many live calls may name it; NULL: any number.
    cap             BIGINT,
    version         BIGINT NOT NULL,
    created_us      BIGINT NOT NULL,
    updated_us      BIGINT NOT NULL,
    -- A deleted one is kept for some days: a hub that was not told is told later, and who follows under
    -- the same name has a later version.
    deleted_us      BIGINT
);
CREATE UNIQUE INDEX resources_by_name ON resources (organization_id, kind, name);
CREATE INDEX resources_of_organization ON resources (organization_id, kind, id);
CREATE INDEX resources_of_account ON resources (account_id, kind, id) WHERE account_id IS NOT NULL;
CREATE INDEX resources_deleted ON resources (deleted_us) WHERE deleted_us IS NOT NULL;

-- The most slots that an account's outbound calls may use; NULL: all that it has.
ALTER TABLE accounts ADD COLUMN outbound_cap BIGINT;
