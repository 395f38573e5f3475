-- When a wallet asks for money, and for how much; NULL: it does not.
ALTER TABLE wallets ADD COLUMN recharge_below BIGINT;
ALTER TABLE wallets ADD COLUMN recharge_amount BIGINT;
-- 0: its last attempt came to nothing, and the balance has not been above the line since.
ALTER TABLE wallets ADD COLUMN recharge_armed BIGINT NOT NULL DEFAULT 1;

-- Recharges that were asked for, each once.
CREATE TABLE recharge_attempts (
    id              TEXT PRIMARY KEY,
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    currency        TEXT NOT NULL,
    amount          BIGINT NOT NULL,
    -- When it was opened.
    balance         BIGINT NOT NULL,
    -- 'open', 'settled', 'declined' or 'canceled'.
    status          TEXT NOT NULL,
    reason          TEXT,
    -- What the recharge that settled it added.
    recharged       BIGINT,
    opened_us       BIGINT NOT NULL,
    closed_us       BIGINT
);
CREATE INDEX recharge_attempts_of_account ON recharge_attempts (account_id, id);
CREATE UNIQUE INDEX recharge_attempts_open ON recharge_attempts (account_id) WHERE status = 'open';
