-- What becomes of the live calls of a suspended account: 'drain' or 'end'.
ALTER TABLE accounts ADD COLUMN live_calls TEXT NOT NULL DEFAULT 'drain';
