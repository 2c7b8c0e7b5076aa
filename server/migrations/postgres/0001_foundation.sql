-- The foundation. Times are milliseconds since 1970 (UTC). Documents are JSON text exactly as the API answers them, so
-- that the change log can hold the same text; columns beside them exist only where a statement looks something up.
-- Text compares by bytes, as on SQLite, so that lists have one order on both.

-- One row: the counter that every change takes its number from, and what ties the data to its key file.
CREATE TABLE installation (
    id            BIGINT PRIMARY KEY CHECK (id = 1),
    revision      BIGINT NOT NULL,            -- the last change
    changed_at    BIGINT NOT NULL,            -- its time; never runs backwards
    epoch         BIGINT NOT NULL,            -- enters every refresh token; a restored backup raises it
    key_check     TEXT COLLATE "C" NOT NULL                -- tells whether a key file is the one this data was sealed with
);

CREATE TABLE environments (
    name              TEXT COLLATE "C" PRIMARY KEY,
    standard          BIGINT NOT NULL,        -- 1 for the default environment
    protected         BIGINT NOT NULL,
    revision          BIGINT NOT NULL,        -- the last change that touches it: `flags_rev` of its tokens
    ruleset_revision  BIGINT NOT NULL,        -- the last one to flags, settings, segments or applications
    document_revision BIGINT NOT NULL,        -- the last one to this row's own document
    created_at        BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    kid          TEXT COLLATE "C" PRIMARY KEY,
    environment  TEXT COLLATE "C" NOT NULL REFERENCES environments (name),
    algorithm    TEXT COLLATE "C" NOT NULL,
    sealed       BYTEA NOT NULL,                -- PKCS#8, sealed with the key file
    jwk          TEXT COLLATE "C" NOT NULL,                -- the public half
    created_at   BIGINT NOT NULL,
    retired_at   BIGINT
);
CREATE INDEX signing_keys_environment ON signing_keys (environment);

-- Living and archived flags; a deleted one remains in the change log alone.
CREATE TABLE flags (
    id               TEXT COLLATE "C" PRIMARY KEY,
    key              TEXT COLLATE "C" NOT NULL UNIQUE,
    document         TEXT COLLATE "C" NOT NULL,
    revision         BIGINT NOT NULL,
    created_revision BIGINT NOT NULL,
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL,
    archived_at      BIGINT
);

-- No row: enabled, no value, no rules.
CREATE TABLE settings (
    flag        TEXT COLLATE "C" NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (name),
    document    TEXT COLLATE "C" NOT NULL,
    revision    BIGINT NOT NULL,
    PRIMARY KEY (flag, environment)
);
CREATE INDEX settings_environment ON settings (environment);

-- A user's override holds everywhere: its environment is ''.
CREATE TABLE overrides (
    level       TEXT COLLATE "C" NOT NULL CHECK (level IN ('user', 'organization')),
    subject     TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    flag        TEXT COLLATE "C" NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    value       TEXT COLLATE "C" NOT NULL,                 -- JSON, canonical
    note        TEXT COLLATE "C",
    expires_at  BIGINT,
    revision    BIGINT NOT NULL,
    PRIMARY KEY (level, subject, environment, flag)
);
CREATE INDEX overrides_flag ON overrides (flag, level, environment, subject);

CREATE TABLE segments (
    key      TEXT COLLATE "C" PRIMARY KEY,
    document TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE organizations (
    id         TEXT COLLATE "C" PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    attributes TEXT COLLATE "C" NOT NULL,
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE users (
    id         TEXT COLLATE "C" PRIMARY KEY,
    email      TEXT COLLATE "C",
    name       TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE memberships (
    organization TEXT COLLATE "C" NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    roles        TEXT COLLATE "C" NOT NULL,                -- JSON array of strings
    permissions  TEXT COLLATE "C" NOT NULL,                -- JSON array of strings
    revision     BIGINT NOT NULL,
    PRIMARY KEY (organization, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE applications (
    client_id   TEXT COLLATE "C" PRIMARY KEY,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (name),
    document    TEXT COLLATE "C" NOT NULL,
    idle_ttl    BIGINT NOT NULL,              -- milliseconds; here because rotation reckons with it
    secret_hash TEXT COLLATE "C",                          -- SHA-256 of 297 random bits; none for a public client
    revision    BIGINT NOT NULL
);
CREATE INDEX applications_environment ON applications (environment);

CREATE TABLE api_keys (
    id          TEXT COLLATE "C" PRIMARY KEY,
    hash        TEXT COLLATE "C" NOT NULL UNIQUE,          -- SHA-256 of the whole key
    name        TEXT COLLATE "C" NOT NULL,
    role        TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" REFERENCES environments (name),
    created_at  BIGINT NOT NULL,
    revision    BIGINT NOT NULL
);

-- A session holds no secret: its refresh tokens are derived from id and generation. Room is left in its pages so that a
-- rotation updates in place.
CREATE TABLE sessions (
    id                  TEXT COLLATE "C" PRIMARY KEY,
    environment         TEXT COLLATE "C" NOT NULL,
    application         TEXT COLLATE "C" NOT NULL REFERENCES applications (client_id) ON DELETE CASCADE,
    user_id             TEXT COLLATE "C" NOT NULL,
    organization        TEXT COLLATE "C",
    generation          BIGINT NOT NULL,
    rotated_at          BIGINT,               -- when the generation before this one was first used
    auth_time           BIGINT NOT NULL,
    expires_at          BIGINT NOT NULL,      -- the idle deadline, never past the absolute one
    absolute_expires_at BIGINT NOT NULL,
    revoked_at          BIGINT
) WITH (fillfactor = 70);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_organization ON sessions (organization);
CREATE INDEX sessions_application ON sessions (application);

-- The change log: one row a change, one row for each document it altered.
CREATE TABLE changes (
    revision   BIGINT PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor_type TEXT COLLATE "C" NOT NULL,
    actor_id   TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    comment    TEXT COLLATE "C"
);
CREATE INDEX changes_at ON changes (at);
CREATE INDEX changes_actor ON changes (actor_id);

CREATE TABLE edits (
    revision     BIGINT NOT NULL REFERENCES changes (revision),
    position     BIGINT NOT NULL,
    entity       TEXT COLLATE "C" NOT NULL,
    id           TEXT COLLATE "C" NOT NULL,
    environment  TEXT COLLATE "C",                         -- NULL: all of them
    flag         TEXT COLLATE "C",                         -- the flag's id
    organization TEXT COLLATE "C",
    user_id      TEXT COLLATE "C",
    before       TEXT COLLATE "C",
    after        TEXT COLLATE "C",
    PRIMARY KEY (revision, position)
);
CREATE INDEX edits_entity ON edits (entity, id, revision);
CREATE INDEX edits_flag ON edits (flag, revision);
CREATE INDEX edits_organization ON edits (organization, revision);
CREATE INDEX edits_user ON edits (user_id, revision);

-- Answers remembered for retries, each written in the transaction of the write it answers.
CREATE TABLE idempotency (
    scope      TEXT COLLATE "C" PRIMARY KEY,               -- SHA-256 of credential, method, path and key
    body_hash  TEXT COLLATE "C" NOT NULL,
    answer     BYTEA NOT NULL,                  -- sealed: it may hold a secret that is shown once
    expires_at BIGINT NOT NULL
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
