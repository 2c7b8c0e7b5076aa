-- What others are told of changes, and changes that wait for a second administrator.

-- A target that is told. It is signed with `sealed_secret`, and with the one before for a while after another was made.
CREATE TABLE webhooks (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    document             TEXT COLLATE "C" NOT NULL,
    environment          TEXT COLLATE "C" REFERENCES environments (name) ON DELETE CASCADE, -- NULL: all of them
    enabled              BIGINT NOT NULL,
    sealed_secret        BYTEA NOT NULL,
    sealed_former_secret BYTEA,
    former_secret_until  BIGINT,
    failing_since        BIGINT,              -- NULL: what was sent last arrived
    lease                TEXT COLLATE "C",    -- which sender has it; one at a time, whatever the number of replicas
    leased_until         BIGINT,
    revision             BIGINT NOT NULL
);

-- What a target is to be told: written with the change itself, kept for a while after it arrived. What is sent is read from
-- the change log when it is sent.
CREATE TABLE deliveries (
    number          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- their order
    id              TEXT COLLATE "C" NOT NULL UNIQUE,
    webhook         TEXT COLLATE "C" NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event           TEXT COLLATE "C" NOT NULL,
    revision        BIGINT,                   -- the change; NULL for a test
    flag            TEXT COLLATE "C",         -- the flag's id
    environment     TEXT COLLATE "C",         -- NULL: all of them
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'given_up')),
    created_at      BIGINT NOT NULL,
    begun_at        BIGINT NOT NULL,          -- when it was first to be sent, or sent again by hand
    failures        BIGINT NOT NULL,          -- attempts since then that failed
    next_attempt_at BIGINT                    -- only of those that are pending
);
CREATE INDEX deliveries_due ON deliveries (webhook, next_attempt_at) WHERE state = 'pending';
CREATE INDEX deliveries_webhook ON deliveries (webhook, number);

CREATE TABLE delivery_attempts (
    delivery TEXT COLLATE "C" NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number   BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    status   BIGINT,                          -- what the target answered; NULL where it did not
    error    TEXT COLLATE "C",                -- why this was no delivery
    PRIMARY KEY (delivery, number)
);

-- 1: what changes who is served what waits for a second administrator.
ALTER TABLE environments ADD COLUMN approvals BIGINT NOT NULL DEFAULT 0;

-- A change that waits, or waited.
CREATE TABLE pending_changes (
    number        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- their order
    id            TEXT COLLATE "C" NOT NULL UNIQUE,
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'applied', 'rejected', 'withdrawn')),
    author        TEXT COLLATE "C" NOT NULL,
    environment   TEXT COLLATE "C",                  -- the one that it is about; NULL: several, or all
    document      TEXT COLLATE "C" NOT NULL,         -- who proposed what, and what it touches
    base_revision BIGINT NOT NULL,            -- the last change when it was proposed
    created_at    BIGINT NOT NULL,
    decision      TEXT COLLATE "C",                  -- who decided, when, and why
    revision      BIGINT                      -- the change that it became
);
CREATE INDEX pending_changes_state ON pending_changes (state, number);

CREATE TABLE pending_comments (
    pending_change TEXT COLLATE "C" NOT NULL REFERENCES pending_changes (id) ON DELETE CASCADE,
    number         BIGINT NOT NULL,
    document       TEXT COLLATE "C" NOT NULL, -- who said what, when
    PRIMARY KEY (pending_change, number)
);

-- Who approved it, and as which pending change; the actor is who proposed it.
ALTER TABLE changes ADD COLUMN approval TEXT COLLATE "C";
