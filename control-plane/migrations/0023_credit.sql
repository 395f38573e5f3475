-- How far below zero calls may bring a wallet's balance, and what of it no call may use.
ALTER TABLE wallets ADD COLUMN credit_limit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallets ADD COLUMN reserve BIGINT NOT NULL DEFAULT 0;
