-- What the calls of an account that is billed to its organization may cost in a calendar month (UTC), in
-- micro-units; null: as much as they like. 1: that is spent, as gateways are told.
ALTER TABLE accounts ADD COLUMN monthly_budget BIGINT;
ALTER TABLE accounts ADD COLUMN is_over_budget BIGINT NOT NULL DEFAULT 0;
CREATE INDEX accounts_with_a_budget ON accounts (id) WHERE monthly_budget IS NOT NULL;

-- What the calls of accounts with a budget have cost: those admitted in the month that begins at `month_us`.
CREATE TABLE budget_spending (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id),
    month_us   BIGINT NOT NULL,
    spent      BIGINT NOT NULL
);
