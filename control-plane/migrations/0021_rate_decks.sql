-- Rate decks: what calls cost by direction and destination.
CREATE TABLE rate_decks (
    id              TEXT PRIMARY KEY,
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    name            TEXT NOT NULL,
    -- The number of its last version; 0: it has none yet.
    last_number     BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    created_us      BIGINT NOT NULL,
    updated_us      BIGINT NOT NULL,
    -- A deleted one is kept for some days: a hub that was not told is told later.
    deleted_us      BIGINT
);
CREATE INDEX rate_decks_of_organization ON rate_decks (organization_id, id);
CREATE INDEX rate_decks_deleted ON rate_decks (deleted_us) WHERE deleted_us IS NOT NULL;

-- Never changed, but for whether it is told.
CREATE TABLE rate_deck_versions (
    deck_id      TEXT NOT NULL REFERENCES rate_decks (id),
    number       BIGINT NOT NULL,
    effective_us BIGINT NOT NULL,
    row_count    BIGINT NOT NULL,
    parts        BIGINT NOT NULL,
    -- To how many decimals of the major unit prices are rounded, and which way.
    decimals     BIGINT NOT NULL,
    rounding     TEXT NOT NULL,
    -- Kinds of reported costs that are charged, as bits.
    billed_costs BIGINT NOT NULL,
    -- Whether gateways are told its rows: 1 while it is in force or to come.
    told         BIGINT NOT NULL,
    created_us   BIGINT NOT NULL,
    PRIMARY KEY (deck_id, number)
);

-- The rows of a version in pieces, base64 of the form in which gateways get them.
CREATE TABLE rate_deck_parts (
    deck_id TEXT NOT NULL,
    number  BIGINT NOT NULL,
    part    BIGINT NOT NULL,
    -- Direction ('i' or 'o') and prefix of its first row.
    first   TEXT NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (deck_id, number, part)
);

-- What a call was charged by; NULL: it was not billed, or ended before this was kept.
ALTER TABLE calls ADD COLUMN rate TEXT;
