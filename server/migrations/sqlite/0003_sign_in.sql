-- Everything that has to do with people signing in: passwords, identities at upstream providers, browsers that are signed
-- in, sign-ins under way, codes, and what is needed to count guesses. Nothing here can be used by who reads it: passwords are
-- slow hashes, what a browser or a client holds is stored as SHA-256, upstream secrets are sealed with the key file.

ALTER TABLE environments ADD COLUMN sign_up INTEGER NOT NULL DEFAULT 0;   -- 1: whoever comes may make an account
ALTER TABLE environments ADD COLUMN host TEXT;                       -- its issuer is https://<host>; never changes
CREATE UNIQUE INDEX environments_host ON environments (host);

ALTER TABLE users ADD COLUMN email_verified INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN picture TEXT;
ALTER TABLE users ADD COLUMN last_sign_in_at INTEGER;
ALTER TABLE users ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE users SET updated_at = created_at;
-- Whether an address is somebody's already is asked at each sign-up.
CREATE INDEX users_address ON users (lower(email));

-- A user who signs in by email and password. One account an address, whatever its letters' case.
CREATE TABLE passwords (
    user_id    TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    email_key  TEXT NOT NULL UNIQUE,                 -- the address in lower case
    hash       TEXT NOT NULL,                        -- Argon2id, as PHC text
    updated_at INTEGER NOT NULL
) STRICT;

-- A link by which a user sets a new password.
CREATE TABLE password_resets (
    hash       TEXT PRIMARY KEY,                     -- SHA-256 of what the link holds
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    environment TEXT NOT NULL,                       -- whose page the link leads to
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX password_resets_user ON password_resets (user_id);

-- Upstream OpenID providers and trusted issuers, each in one environment.
CREATE TABLE identity_providers (
    id            TEXT PRIMARY KEY,
    environment   TEXT NOT NULL REFERENCES environments (name),
    issuer        TEXT NOT NULL,                     -- by which a token's provider is found
    document      TEXT NOT NULL,
    sealed_secret BLOB,                              -- our client secret there
    revision      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX identity_providers_issuer ON identity_providers (environment, issuer);

-- Who somebody is elsewhere: the issuer and its `sub`, never an address.
CREATE TABLE identities (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT;
CREATE INDEX identities_user ON identities (user_id);

-- A browser that is signed in at an environment: its cookie lets the next application in without a password. The cookie
-- is another at each signing in; the id stays, so that signing out ends what began before.
CREATE TABLE browsers (
    id          TEXT PRIMARY KEY,
    hash        TEXT NOT NULL UNIQUE,                 -- SHA-256 of the cookie
    environment TEXT NOT NULL REFERENCES environments (name) ON DELETE CASCADE,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    method      TEXT NOT NULL,
    auth_time   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX browsers_user ON browsers (user_id);
CREATE INDEX browsers_expiry ON browsers (expires_at);

-- A sign-in that is at an upstream provider. Those that wait at our own pages are sealed into the pages instead, so that
-- nobody fills this table by asking for pages.
CREATE TABLE sign_ins (
    hash        TEXT PRIMARY KEY,                    -- SHA-256 of the state it comes back with and the browser's cookie
    document    BLOB NOT NULL,                       -- sealed: the authorization request, and what proves the answer to it
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);

-- Authorization codes, kept a while after use, so that a second use is noticed and ends what the first began.
CREATE TABLE codes (
    hash         TEXT PRIMARY KEY,                   -- SHA-256 of the code
    application  TEXT NOT NULL REFERENCES applications (client_id) ON DELETE CASCADE,
    document     TEXT NOT NULL,                      -- who signed in, for which organization and redirect URI
    expires_at   INTEGER NOT NULL,
    session      TEXT                                -- what its use began
) STRICT;
CREATE INDEX codes_expiry ON codes (expires_at);

-- Where its tokens are issued depends on it, and rotation looks at it before anything moves.
ALTER TABLE applications ADD COLUMN profile TEXT NOT NULL DEFAULT 'flagbearer';

-- Failed guesses, by account and by address, so that all replicas count together.
CREATE TABLE attempts (
    subject    TEXT PRIMARY KEY,                     -- SHA-256 of `account:…` or `address:…`
    failures   INTEGER NOT NULL,
    first_at   INTEGER NOT NULL,                          -- when the window began
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX attempts_expiry ON attempts (expires_at);

-- How a session began, and where: what the vendors' session lists answer.
ALTER TABLE sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'backend';
ALTER TABLE sessions ADD COLUMN scope TEXT;                          -- as granted; NULL where none was asked for
ALTER TABLE sessions ADD COLUMN browser TEXT;                        -- the id of the browser it began in
ALTER TABLE sessions ADD COLUMN ip_address TEXT;
ALTER TABLE sessions ADD COLUMN user_agent TEXT;
ALTER TABLE sessions ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET created_at = auth_time;
CREATE INDEX sessions_browser ON sessions (browser);

-- A key is published before it signs, and stays published until the last token it signed has expired.
ALTER TABLE signing_keys ADD COLUMN signs_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE signing_keys ADD COLUMN published_until INTEGER;              -- NULL: as long as it is not retired
ALTER TABLE signing_keys ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;    -- 1: no token of its is good any more
UPDATE signing_keys SET signs_from = created_at;
ALTER TABLE environments ADD COLUMN keys_revision INTEGER NOT NULL DEFAULT 0; -- the last change to its signing keys

-- Signing keys are logged, but no token says anything else because of them.
DROP INDEX edits_environment;
CREATE INDEX edits_environment ON edits (environment, revision) WHERE entity NOT IN ('api_key', 'signing_key');
