-- Where an account's administrators want to be told what happens.
CREATE TABLE webhooks (
    id               TEXT PRIMARY KEY,
    organization_id  TEXT NOT NULL REFERENCES organizations (id),
    -- Whose it is; an organization's is told of the accounts below it too.
    account_id       TEXT NOT NULL REFERENCES accounts (id),
    url              TEXT NOT NULL,
    -- A JSON list of kinds of events.
    events           TEXT NOT NULL,
    -- Signs what is sent, so it cannot be a hash.
    secret           TEXT NOT NULL,
    is_active        BIGINT NOT NULL,
    -- Why nothing is sent any more, where Ringfence decided so.
    disabled_reason  TEXT,
    failing_since_us BIGINT,
    -- Deliveries that wait, events that were not kept because too many did, and when the next is due.
    pending          BIGINT NOT NULL,
    dropped          BIGINT NOT NULL,
    due_us           BIGINT,
    created_us       BIGINT NOT NULL,
    updated_us       BIGINT NOT NULL
);
CREATE INDEX webhooks_of_account ON webhooks (account_id, id);
CREATE INDEX webhooks_due ON webhooks (due_us) WHERE due_us IS NOT NULL;

CREATE TABLE webhook_deliveries (
    id         TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    event      TEXT NOT NULL,
    body       TEXT NOT NULL,
    -- 'pending', 'delivered' or 'failed'.
    status     TEXT NOT NULL,
    -- Attempts since it was asked for last.
    tries      BIGINT NOT NULL,
    due_us     BIGINT,
    created_us BIGINT NOT NULL,
    ended_us   BIGINT
);
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_us) WHERE due_us IS NOT NULL;
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_us) WHERE ended_us IS NOT NULL;

CREATE TABLE webhook_attempts (
    delivery_id TEXT NOT NULL REFERENCES webhook_deliveries (id),
    number      BIGINT NOT NULL,
    at_us       BIGINT NOT NULL,
    took_us     BIGINT NOT NULL,
    -- What was answered; NULL: nothing, `error` says why.
    http_status BIGINT,
    error       TEXT,
    PRIMARY KEY (delivery_id, number)
);

CREATE INDEX webhooks_of_organization ON webhooks (organization_id);

-- An event goes out when the balance sinks to this; NULL: none does.
ALTER TABLE wallets ADD COLUMN low_balance BIGINT;
