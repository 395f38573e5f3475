-- Portable between SQLite and PostgreSQL: times are BIGINT microseconds since 1970, flags INTEGER 0/1,
-- money BIGINT micro-units, identifiers and words TEXT.

CREATE TABLE installation (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Numbers given out inside the transaction that uses them, so they have no gap.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('ledger_account', 0), ('ledger_transaction', 0), ('audit', 0);

CREATE TABLE organizations (
    id                   TEXT PRIMARY KEY,
    concurrency_total    BIGINT NOT NULL,
    currency             TEXT NOT NULL,
    default_rate         TEXT,
    recharge_policy      TEXT NOT NULL,
    members_may_allocate BIGINT NOT NULL,
    regions              TEXT,
    version              BIGINT NOT NULL
);

-- Organizations are accounts too: the one their own key acts for; `floor` is then the reserve.
CREATE TABLE accounts (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    status          TEXT NOT NULL,
    floor           BIGINT NOT NULL,
    cap             BIGINT,
    cps_limit       BIGINT,
    region          TEXT,
    billing_mode    TEXT NOT NULL,
    rate            TEXT,
    lease_s         BIGINT,
    duration_max_s  BIGINT,
    -- What becomes of the balance of an account in state `deleting`.
    disposal        TEXT,
    version         BIGINT NOT NULL,
    created_us      BIGINT NOT NULL,
    updated_us      BIGINT NOT NULL
);
CREATE INDEX accounts_of_organization ON accounts (organization_id, id);

CREATE TABLE keys (
    id              TEXT PRIMARY KEY,
    -- SHA-256 of the secret in hexadecimal; the secret is nowhere.
    hash            TEXT NOT NULL UNIQUE,
    scope           TEXT NOT NULL,
    account_id      TEXT REFERENCES accounts (id),
    name            TEXT NOT NULL,
    type            TEXT NOT NULL,
    last4           TEXT NOT NULL,
    -- `start`: generated or set at start-up, replaced there; `issued`: made through the API.
    origin          TEXT NOT NULL,
    created_us      BIGINT NOT NULL,
    revoked_us      BIGINT
);
CREATE INDEX keys_of_account ON keys (account_id, id);

-- What the hub is told about a wallet. `escrow - posted` is the balance of its ledger account.
CREATE TABLE wallets (
    account_id      TEXT PRIMARY KEY REFERENCES accounts (id),
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    currency        TEXT NOT NULL,
    escrow          BIGINT NOT NULL,
    posted          BIGINT NOT NULL,
    sequence        BIGINT NOT NULL
);

-- Per wallet: `wallet` (its cash), `external` (money from outside), `revenue` and `debt`.
CREATE TABLE ledger_accounts (
    id         BIGINT PRIMARY KEY,
    owner_id   TEXT NOT NULL REFERENCES wallets (account_id),
    kind       TEXT NOT NULL,
    currency   TEXT NOT NULL,
    -- Sum and number of its entries.
    balance    BIGINT NOT NULL,
    entries    BIGINT NOT NULL,
    UNIQUE (owner_id, kind)
);

-- Rows of the next two tables are written once and never changed.
CREATE TABLE ledger_transactions (
    id        BIGINT PRIMARY KEY,
    cause     TEXT NOT NULL,
    reference TEXT NOT NULL,
    currency  TEXT NOT NULL,
    posted_us BIGINT NOT NULL
);

CREATE TABLE ledger_entries (
    ledger_account_id BIGINT NOT NULL REFERENCES ledger_accounts (id),
    sequence          BIGINT NOT NULL,
    transaction_id    BIGINT NOT NULL REFERENCES ledger_transactions (id),
    amount            BIGINT NOT NULL,
    balance_after     BIGINT NOT NULL,
    PRIMARY KEY (ledger_account_id, sequence)
);

CREATE TABLE calls (
    account_id   TEXT NOT NULL,
    admitted_us  BIGINT NOT NULL,
    call_id      TEXT NOT NULL,
    answered_us  BIGINT,
    ended_us     BIGINT NOT NULL,
    direction    TEXT NOT NULL,
    caller       TEXT NOT NULL,
    callee       TEXT NOT NULL,
    agent_id     TEXT NOT NULL,
    source       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    cause        TEXT NOT NULL,
    billable_s   BIGINT NOT NULL,
    cost         BIGINT NOT NULL,
    debt         BIGINT NOT NULL,
    -- NULL: the call was not billed.
    currency     TEXT,
    billing_mode TEXT,
    revision     BIGINT NOT NULL,
    costs        TEXT,
    PRIMARY KEY (account_id, admitted_us, call_id)
);

-- Up to where each shard of a record stream has been posted; written with the postings.
CREATE TABLE watermarks (
    stream   TEXT NOT NULL,
    shard    BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (stream, shard)
);

CREATE TABLE idempotency (
    key_id          TEXT NOT NULL,
    method          TEXT NOT NULL,
    path            TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_hash       TEXT NOT NULL,
    status          BIGINT NOT NULL,
    -- The answer, sealed under the API key that asked (it may contain a secret).
    sealed_body     TEXT NOT NULL,
    created_us      BIGINT NOT NULL,
    PRIMARY KEY (key_id, method, path, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_us);

CREATE TABLE audit (
    id              BIGINT PRIMARY KEY,
    organization_id TEXT,
    at_us           BIGINT NOT NULL,
    actor           TEXT NOT NULL,
    action          TEXT NOT NULL,
    subject         TEXT NOT NULL,
    before_json     TEXT,
    after_json      TEXT
);
CREATE INDEX audit_of_organization ON audit (organization_id, id);
