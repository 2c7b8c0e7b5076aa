-- What applications may carry is measured, what was issued can be recorded, and users can be erased.

-- A claim budget asks for a flag's longest override at a level; without this each write would read all of them.
CREATE INDEX overrides_length ON overrides (flag, level, environment, octet_length(value));

-- Access tokens that were issued, where that is recorded; kept for a week. Who it was for is in the session.
CREATE TABLE issuances (
    token_id     TEXT COLLATE "C" NOT NULL,                -- `jti`
    request_id   TEXT COLLATE "C" NOT NULL,
    session      TEXT COLLATE "C",                         -- NULL: a machine's
    application  TEXT COLLATE "C" NOT NULL,
    environment  TEXT COLLATE "C" NOT NULL,
    organization TEXT COLLATE "C",
    issued_at    BIGINT NOT NULL,
    revision     BIGINT NOT NULL              -- `flags_rev`
);
CREATE INDEX issuances_token ON issuances (token_id);
CREATE INDEX issuances_request ON issuances (request_id);
CREATE INDEX issuances_session ON issuances (session);
CREATE INDEX issuances_time ON issuances (issued_at);

-- Whose entries in the log were erased, under an HMAC of the id: nobody without the key file can tell who it was.
CREATE TABLE erasures (
    tag      TEXT COLLATE "C" PRIMARY KEY,
    revision BIGINT NOT NULL                  -- what was before it is not there any more
);

-- 1: a tombstone, of which neither the id nor the documents are left.
ALTER TABLE edits ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;
