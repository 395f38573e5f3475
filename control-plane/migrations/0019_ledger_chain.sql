-- The hash chain of the ledger: a seal for each run of transactions, in the order of their ids. Rows are
-- written once and never changed.
CREATE TABLE ledger_seals (
    -- The last transaction that it is over; the first follows the seal before.
    through   BIGINT PRIMARY KEY,
    seal      TEXT NOT NULL,
    sealed_us BIGINT NOT NULL
);
CREATE INDEX ledger_entries_of_transaction ON ledger_entries (transaction_id);
