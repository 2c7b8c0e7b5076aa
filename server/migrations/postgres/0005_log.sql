-- The log as people work with it: what was said of a change afterwards, and which changes took others back.

CREATE TABLE comments (
    revision   BIGINT NOT NULL REFERENCES changes (revision),
    position   BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    actor_type TEXT COLLATE "C" NOT NULL,
    actor_id   TEXT COLLATE "C" NOT NULL,
    actor_name TEXT COLLATE "C" NOT NULL,
    text       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (revision, position)
);

CREATE TABLE reverts (
    revision BIGINT NOT NULL REFERENCES changes (revision),
    reverted BIGINT NOT NULL REFERENCES changes (revision),
    PRIMARY KEY (revision, reverted)
);
CREATE INDEX reverts_reverted ON reverts (reverted);

-- Whether a token can say anything else because of an edit: decided once, when it is written.
ALTER TABLE edits ADD COLUMN in_tokens BIGINT NOT NULL DEFAULT 1;
UPDATE edits SET in_tokens = 0 WHERE entity IN ('api_key', 'identity_provider', 'signing_key');
DROP INDEX edits_environment;
-- The last change that touches an environment; NULL stands for all of them.
CREATE INDEX edits_environment ON edits (environment, in_tokens, revision);
