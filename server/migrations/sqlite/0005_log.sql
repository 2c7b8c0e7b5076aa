-- The log as people work with it: what was said of a change afterwards, and which changes took others back.

CREATE TABLE comments (
    revision   INTEGER NOT NULL REFERENCES changes (revision),
    position   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    text       TEXT NOT NULL,
    PRIMARY KEY (revision, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE reverts (
    revision INTEGER NOT NULL REFERENCES changes (revision),
    reverted INTEGER NOT NULL REFERENCES changes (revision),
    PRIMARY KEY (revision, reverted)
) STRICT, WITHOUT ROWID;
CREATE INDEX reverts_reverted ON reverts (reverted);

-- Whether a token can say anything else because of an edit: decided once, when it is written.
ALTER TABLE edits ADD COLUMN in_tokens INTEGER NOT NULL DEFAULT 1;
UPDATE edits SET in_tokens = 0 WHERE entity IN ('api_key', 'identity_provider', 'signing_key');
DROP INDEX edits_environment;
-- The last change that touches an environment; NULL stands for all of them.
CREATE INDEX edits_environment ON edits (environment, in_tokens, revision);
