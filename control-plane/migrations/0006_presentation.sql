-- How an account is presented: an organization's labels (a JSON object of strings), and the name and
-- logo that the account's members are shown instead of its own.
ALTER TABLE accounts ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE accounts ADD COLUMN display_name TEXT;
ALTER TABLE accounts ADD COLUMN logo_url TEXT;
