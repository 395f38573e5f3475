-- People: users of the installation, what they are members of, and how they sign in.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    -- In lower case.
    email         TEXT NOT NULL UNIQUE,
    name          TEXT NOT NULL,
    -- argon2id as a PHC string.
    password_hash TEXT NOT NULL,
    created_us    BIGINT NOT NULL,
    updated_us    BIGINT NOT NULL
);

-- Of an organization or of a sub-account; those of the one are not those of the other.
CREATE TABLE memberships (
    account_id TEXT NOT NULL REFERENCES accounts (id),
    user_id    TEXT NOT NULL REFERENCES users (id),
    -- `owner` (of organizations), `admin`, `member`, `viewer`
    role       TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (account_id, user_id)
);
CREATE INDEX memberships_of_user ON memberships (user_id, account_id);
CREATE UNIQUE INDEX one_owner ON memberships (account_id) WHERE role = 'owner';

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    -- SHA-256 of the cookie in hexadecimal.
    hash         TEXT NOT NULL UNIQUE,
    user_id      TEXT NOT NULL REFERENCES users (id),
    created_us   BIGINT NOT NULL,
    -- To the minute.
    last_used_us BIGINT NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id, id);
CREATE INDEX sessions_by_age ON sessions (created_us);

-- Open ones: what was accepted, revoked or replaced is gone.
CREATE TABLE invitations (
    id         TEXT PRIMARY KEY,
    -- SHA-256 of the token in hexadecimal.
    hash       TEXT NOT NULL UNIQUE,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    email      TEXT NOT NULL,
    role       TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL
);
CREATE INDEX invitations_of_account ON invitations (account_id, id);
