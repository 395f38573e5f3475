-- Balances at which a wallet is low, in place of one: a JSON list of micro-units, greatest first; NULL: none.
ALTER TABLE wallets ADD COLUMN low_balances TEXT;
UPDATE wallets SET low_balances = '[' || CAST(low_balance AS TEXT) || ']' WHERE low_balance IS NOT NULL;
ALTER TABLE wallets DROP COLUMN low_balance;
