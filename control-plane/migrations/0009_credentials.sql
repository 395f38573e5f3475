-- Keys that end by themselves; NULL: never.
ALTER TABLE keys ADD COLUMN expires_us BIGINT;
-- To the minute; NULL: never, as far as known.
ALTER TABLE keys ADD COLUMN last_used_us BIGINT;
CREATE INDEX keys_by_expiry ON keys (expires_us) WHERE revoked_us IS NULL AND expires_us IS NOT NULL;

-- API tokens of users: those that are revoked are gone.
CREATE TABLE user_tokens (
    id           TEXT PRIMARY KEY,
    -- SHA-256 of the secret in hexadecimal.
    hash         TEXT NOT NULL UNIQUE,
    user_id      TEXT NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    -- `read`, `write`
    access       TEXT NOT NULL,
    last4        TEXT NOT NULL,
    created_us   BIGINT NOT NULL,
    expires_us   BIGINT NOT NULL,
    -- To the minute; NULL: never.
    last_used_us BIGINT
);
CREATE INDEX user_tokens_of_user ON user_tokens (user_id, id);
CREATE INDEX user_tokens_by_expiry ON user_tokens (expires_us);

-- The hash of the link that was mailed, beside that of the one that was answered.
ALTER TABLE invitations ADD COLUMN mailed_hash TEXT;
CREATE INDEX invitations_by_mailed_hash ON invitations (mailed_hash);

-- Links by which passwords are reset: the last of each user. SHA-256 in hexadecimal.
CREATE TABLE password_resets (
    user_id    TEXT PRIMARY KEY REFERENCES users (id),
    hash       TEXT NOT NULL UNIQUE,
    expires_us BIGINT NOT NULL
);

-- Mail that waits to be sent. It holds no secret: links are drawn when it is.
CREATE TABLE mails (
    id         TEXT PRIMARY KEY,
    -- `invitation`, `password_reset`
    kind       TEXT NOT NULL,
    -- The invitation's id, or the e-mail address of who asked, whether or not anybody has it.
    about      TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    attempts   BIGINT NOT NULL,
    -- When it is its turn.
    next_us    BIGINT NOT NULL,
    UNIQUE (kind, about)
);
CREATE INDEX mails_by_turn ON mails (next_us);

-- Who of an organization went into one of its accounts, and why.
CREATE TABLE delegations (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    user_id    TEXT NOT NULL REFERENCES users (id),
    -- `read`, `write`
    access     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    -- NULL: nobody ended it.
    ended_us   BIGINT
);
CREATE INDEX delegations_of_account ON delegations (account_id, id);
CREATE INDEX delegations_of_user ON delegations (user_id, expires_us);
CREATE INDEX delegations_by_age ON delegations (created_us);
