-- What becomes of an account's live calls when the money is gone: 'end' or 'finish'.
ALTER TABLE accounts ADD COLUMN at_zero TEXT NOT NULL DEFAULT 'end';
