-- When a call's record was posted first, by a clock that never stands still or goes back: it orders the
-- batches of records as they were committed. 0: posted by an earlier version.
ALTER TABLE calls ADD COLUMN posted_us BIGINT NOT NULL DEFAULT 0;
INSERT INTO counters (name, value) VALUES ('posting', 0);
-- Calls whose record came late, few at any time: others were admitted within the day before they were posted.
CREATE INDEX calls_posted_late ON calls (organization_id, posted_us) WHERE posted_us - admitted_us > 86400000000;

-- What later records of a call changed, one row per record; written once and never changed.
CREATE TABLE call_corrections (
    account_id      TEXT NOT NULL,
    admitted_us     BIGINT NOT NULL,
    call_id         TEXT NOT NULL,
    revision        BIGINT NOT NULL,
    organization_id TEXT NOT NULL,
    billing_mode    TEXT NOT NULL,
    currency        TEXT NOT NULL,
    -- Of the call's first record, and of this one.
    call_posted_us  BIGINT NOT NULL,
    posted_us       BIGINT NOT NULL,
    -- What was added to the former; below zero: taken off.
    billable_s      BIGINT NOT NULL,
    cost            BIGINT NOT NULL,
    PRIMARY KEY (account_id, admitted_us, call_id, revision)
);
CREATE INDEX call_corrections_of_organization ON call_corrections (organization_id, posted_us);

-- How an organization issues invoices; no row: not yet.
CREATE TABLE invoicing (
    organization_id TEXT PRIMARY KEY REFERENCES organizations (id),
    -- JSON: who issues, to whom, taxes, prefixes, time zone.
    settings        TEXT NOT NULL,
    automatic       BIGINT NOT NULL,
    -- Calls admitted before this are never invoiced.
    starts_us       BIGINT NOT NULL,
    -- Periods before this were issued without being asked for.
    done_us         BIGINT NOT NULL,
    -- Numbers given out so far.
    invoices        BIGINT NOT NULL,
    credit_notes    BIGINT NOT NULL,
    updated_us      BIGINT NOT NULL
);

-- To whom an account's invoices are made out: JSON.
CREATE TABLE billing_details (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id),
    details    TEXT NOT NULL,
    updated_us BIGINT NOT NULL
);

CREATE INDEX wallets_of_organization ON wallets (organization_id, account_id);

-- Rows of the next three tables are written once and never changed. Money is in micro-units of whole minor
-- units, but for `charged`.
CREATE TABLE invoices (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    -- Whose charges: a sub-account's own, or the organization's with all that it pays for.
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    -- From 1, without a gap.
    sequence        BIGINT NOT NULL,
    number          TEXT NOT NULL,
    from_us         BIGINT NOT NULL,
    to_us           BIGINT NOT NULL,
    -- Charges posted later are for a later invoice.
    through_us      BIGINT NOT NULL,
    issued_us       BIGINT NOT NULL,
    currency        TEXT NOT NULL,
    lines           BIGINT NOT NULL,
    -- What the calls were charged, exactly.
    charged         BIGINT NOT NULL,
    net             BIGINT NOT NULL,
    tax             BIGINT NOT NULL,
    total           BIGINT NOT NULL,
    -- JSON: issuer, recipient, taxes and whatever else it says.
    document        TEXT NOT NULL
);
CREATE UNIQUE INDEX invoices_by_sequence ON invoices (organization_id, sequence);
CREATE UNIQUE INDEX invoices_of_account ON invoices (account_id, to_us);

CREATE TABLE invoice_lines (
    invoice_id TEXT NOT NULL REFERENCES invoices (id),
    line       BIGINT NOT NULL,
    -- 'calls', 'late' or 'correction'.
    kind       TEXT NOT NULL,
    account_id TEXT NOT NULL,
    name       TEXT NOT NULL,
    calls      BIGINT NOT NULL,
    billable_s BIGINT NOT NULL,
    charged    BIGINT NOT NULL,
    amount     BIGINT NOT NULL,
    PRIMARY KEY (invoice_id, line)
);

CREATE TABLE credit_notes (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    account_id      TEXT NOT NULL REFERENCES accounts (id),
    invoice_id      TEXT NOT NULL REFERENCES invoices (id),
    sequence        BIGINT NOT NULL,
    number          TEXT NOT NULL,
    issued_us       BIGINT NOT NULL,
    reason          TEXT NOT NULL,
    net             BIGINT NOT NULL,
    tax             BIGINT NOT NULL,
    total           BIGINT NOT NULL,
    -- JSON: what is taken off each tax of the invoice.
    taxes           TEXT NOT NULL
);
CREATE UNIQUE INDEX credit_notes_by_sequence ON credit_notes (organization_id, sequence);
CREATE INDEX credit_notes_of_invoice ON credit_notes (invoice_id, id);
