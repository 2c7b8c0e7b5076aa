-- The foundation. Times are milliseconds since 1970 (UTC). Documents are JSON text exactly as the API answers them, so
-- that the change log can hold the same text; columns beside them exist only where a statement looks something up.

-- One row: the counter that every change takes its number from, and what ties the data to its key file.
CREATE TABLE installation (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    revision      INTEGER NOT NULL,            -- the last change
    changed_at    INTEGER NOT NULL,            -- its time; never runs backwards
    epoch         INTEGER NOT NULL,            -- enters every refresh token; a restored backup raises it
    key_check     TEXT NOT NULL                -- tells whether a key file is the one this data was sealed with
) STRICT;

CREATE TABLE environments (
    name              TEXT PRIMARY KEY,
    standard          INTEGER NOT NULL,        -- 1 for the default environment
    protected         INTEGER NOT NULL,
    revision          INTEGER NOT NULL,        -- the last change that touches it: `flags_rev` of its tokens
    ruleset_revision  INTEGER NOT NULL,        -- the last one to flags, settings, segments or applications
    document_revision INTEGER NOT NULL,        -- the last one to this row's own document
    created_at        INTEGER NOT NULL
) STRICT;

CREATE TABLE signing_keys (
    kid          TEXT PRIMARY KEY,
    environment  TEXT NOT NULL REFERENCES environments (name),
    algorithm    TEXT NOT NULL,
    sealed       BLOB NOT NULL,                -- PKCS#8, sealed with the key file
    jwk          TEXT NOT NULL,                -- the public half
    created_at   INTEGER NOT NULL,
    retired_at   INTEGER
) STRICT;
CREATE INDEX signing_keys_environment ON signing_keys (environment);

-- Living and archived flags; a deleted one remains in the change log alone.
CREATE TABLE flags (
    id               TEXT PRIMARY KEY,
    key              TEXT NOT NULL UNIQUE,
    document         TEXT NOT NULL,
    revision         INTEGER NOT NULL,
    created_revision INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    archived_at      INTEGER
) STRICT;

-- No row: enabled, no value, no rules.
CREATE TABLE settings (
    flag        TEXT NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    environment TEXT NOT NULL REFERENCES environments (name),
    document    TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    PRIMARY KEY (flag, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX settings_environment ON settings (environment);

-- A user's override holds everywhere: its environment is ''.
CREATE TABLE overrides (
    level       TEXT NOT NULL CHECK (level IN ('user', 'organization')),
    subject     TEXT NOT NULL,
    environment TEXT NOT NULL,
    flag        TEXT NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    value       TEXT NOT NULL,                 -- JSON, canonical
    note        TEXT,
    expires_at  INTEGER,
    revision    INTEGER NOT NULL,
    PRIMARY KEY (level, subject, environment, flag)
) STRICT, WITHOUT ROWID;
CREATE INDEX overrides_flag ON overrides (flag, level, environment, subject);

CREATE TABLE segments (
    key      TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE organizations (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    attributes TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id         TEXT PRIMARY KEY,
    email      TEXT,
    name       TEXT,
    attributes TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE memberships (
    organization TEXT NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    roles        TEXT NOT NULL,                -- JSON array of strings
    permissions  TEXT NOT NULL,                -- JSON array of strings
    revision     INTEGER NOT NULL,
    PRIMARY KEY (organization, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE applications (
    client_id   TEXT PRIMARY KEY,
    environment TEXT NOT NULL REFERENCES environments (name),
    document    TEXT NOT NULL,
    idle_ttl    INTEGER NOT NULL,              -- milliseconds; here because rotation reckons with it
    secret_hash TEXT,                          -- SHA-256 of 297 random bits; none for a public client
    revision    INTEGER NOT NULL
) STRICT;
CREATE INDEX applications_environment ON applications (environment);

CREATE TABLE api_keys (
    id          TEXT PRIMARY KEY,
    hash        TEXT NOT NULL UNIQUE,          -- SHA-256 of the whole key
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    environment TEXT REFERENCES environments (name),
    created_at  INTEGER NOT NULL,
    revision    INTEGER NOT NULL
) STRICT;

-- A session holds no secret: its refresh tokens are derived from id and generation.
CREATE TABLE sessions (
    id                  TEXT PRIMARY KEY,
    environment         TEXT NOT NULL,
    application         TEXT NOT NULL REFERENCES applications (client_id) ON DELETE CASCADE,
    user_id             TEXT NOT NULL,
    organization        TEXT,
    generation          INTEGER NOT NULL,
    rotated_at          INTEGER,               -- when the generation before this one was first used
    auth_time           INTEGER NOT NULL,
    expires_at          INTEGER NOT NULL,      -- the idle deadline, never past the absolute one
    absolute_expires_at INTEGER NOT NULL,
    revoked_at          INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_organization ON sessions (organization);
CREATE INDEX sessions_application ON sessions (application);

-- The change log: one row a change, one row for each document it altered.
CREATE TABLE changes (
    revision   INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    request_id TEXT NOT NULL,
    comment    TEXT
) STRICT;
CREATE INDEX changes_at ON changes (at);
CREATE INDEX changes_actor ON changes (actor_id);

CREATE TABLE edits (
    revision     INTEGER NOT NULL REFERENCES changes (revision),
    position     INTEGER NOT NULL,
    entity       TEXT NOT NULL,
    id           TEXT NOT NULL,
    environment  TEXT,                         -- NULL: all of them
    flag         TEXT,                         -- the flag's id
    organization TEXT,
    user_id      TEXT,
    before       TEXT,
    after        TEXT,
    PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX edits_entity ON edits (entity, id, revision);
CREATE INDEX edits_flag ON edits (flag, revision);
CREATE INDEX edits_organization ON edits (organization, revision);
CREATE INDEX edits_user ON edits (user_id, revision);

-- Answers remembered for retries, each written in the transaction of the write it answers.
CREATE TABLE idempotency (
    scope      TEXT PRIMARY KEY,               -- SHA-256 of credential, method, path and key
    body_hash  TEXT NOT NULL,
    answer     BLOB NOT NULL,                  -- sealed: it may hold a secret that is shown once
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
