-- What gateways report of refused admits, to the minute.

-- The last report of each start of a gateway, written with what it said.
CREATE TABLE reporters (
    id          TEXT PRIMARY KEY,
    sequence    BIGINT NOT NULL,
    reported_us BIGINT NOT NULL
);
CREATE INDEX reporters_by_age ON reporters (reported_us);

-- Refused admits by reason, each try, in the minute that begins then. The subject is an account, or `*`
-- and an organization: all its accounts together.
CREATE TABLE denials (
    subject   TEXT NOT NULL,
    minute_us BIGINT NOT NULL,
    reason    TEXT NOT NULL,
    denials   BIGINT NOT NULL,
    PRIMARY KEY (subject, minute_us, reason)
);

-- Calls refused for slots in each twelfth of a minute, by whose limit: `account` or `organization`.
CREATE TABLE refused_calls (
    subject   TEXT NOT NULL,
    minute_us BIGINT NOT NULL,
    scope     TEXT NOT NULL,
    slice_0   BIGINT NOT NULL,
    slice_1   BIGINT NOT NULL,
    slice_2   BIGINT NOT NULL,
    slice_3   BIGINT NOT NULL,
    slice_4   BIGINT NOT NULL,
    slice_5   BIGINT NOT NULL,
    slice_6   BIGINT NOT NULL,
    slice_7   BIGINT NOT NULL,
    slice_8   BIGINT NOT NULL,
    slice_9   BIGINT NOT NULL,
    slice_10  BIGINT NOT NULL,
    slice_11  BIGINT NOT NULL,
    PRIMARY KEY (subject, minute_us, scope)
);
CREATE INDEX refused_calls_by_age ON refused_calls (minute_us);
