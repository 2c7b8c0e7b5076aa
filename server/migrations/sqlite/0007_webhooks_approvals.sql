-- What others are told of changes, and changes that wait for a second administrator.

-- A target that is told. It is signed with `sealed_secret`, and with the one before for a while after another was made.
CREATE TABLE webhooks (
    id                   TEXT PRIMARY KEY,
    document             TEXT NOT NULL,
    environment          TEXT REFERENCES environments (name) ON DELETE CASCADE, -- NULL: all of them
    enabled              INTEGER NOT NULL,
    sealed_secret        BLOB NOT NULL,
    sealed_former_secret BLOB,
    former_secret_until  INTEGER,
    failing_since        INTEGER,             -- NULL: what was sent last arrived
    lease                TEXT,                -- which sender has it; one at a time, whatever the number of replicas
    leased_until         INTEGER,
    revision             INTEGER NOT NULL
) STRICT;

-- What a target is to be told: written with the change itself, kept for a while after it arrived. What is sent is read from
-- the change log when it is sent.
CREATE TABLE deliveries (
    number          INTEGER PRIMARY KEY, -- their order
    id              TEXT NOT NULL UNIQUE,
    webhook         TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event           TEXT NOT NULL,
    revision        INTEGER,                  -- the change; NULL for a test
    flag            TEXT,                     -- the flag's id
    environment     TEXT,                     -- NULL: all of them
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'given_up')),
    created_at      INTEGER NOT NULL,
    begun_at        INTEGER NOT NULL,         -- when it was first to be sent, or sent again by hand
    failures        INTEGER NOT NULL,          -- attempts since then that failed
    next_attempt_at INTEGER                   -- only of those that are pending
) STRICT;
CREATE INDEX deliveries_due ON deliveries (webhook, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_webhook ON deliveries (webhook, number);

CREATE TABLE delivery_attempts (
    delivery TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    status   INTEGER,                         -- what the target answered; NULL where it did not
    error    TEXT,                            -- why this was no delivery
    PRIMARY KEY (delivery, number)
) STRICT;

-- 1: what changes who is served what waits for a second administrator.
ALTER TABLE environments ADD COLUMN approvals INTEGER NOT NULL DEFAULT 0;

-- A change that waits, or waited.
CREATE TABLE pending_changes (
    number        INTEGER PRIMARY KEY, -- their order
    id            TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'rejected', 'withdrawn')),
    author        TEXT NOT NULL,
    environment   TEXT,                  -- the one that it is about; NULL: several, or all
    document      TEXT NOT NULL,         -- who proposed what, and what it touches
    base_revision INTEGER NOT NULL,            -- the last change when it was proposed
    created_at    INTEGER NOT NULL,
    decision      TEXT,                  -- who decided, when, and why
    revision      INTEGER                      -- the change that it became
) STRICT;
CREATE INDEX pending_changes_state ON pending_changes (state, number);

CREATE TABLE pending_comments (
    pending_change TEXT NOT NULL REFERENCES pending_changes (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    document       TEXT NOT NULL, -- who said what, when
    PRIMARY KEY (pending_change, number)
) STRICT;

-- Who approved it, and as which pending change; the actor is who proposed it.
ALTER TABLE changes ADD COLUMN approval TEXT;
