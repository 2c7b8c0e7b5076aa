-- What readers that follow the watermark hold against tokens that are out already.

-- A killed flag. What everybody gets instead is its off value, which the flag itself holds.
CREATE TABLE kills (
    flag        TEXT NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    environment TEXT NOT NULL REFERENCES environments (name) ON DELETE CASCADE,
    revision    INTEGER NOT NULL,                -- tokens made before this change may say otherwise
    PRIMARY KEY (flag, environment)
) STRICT, WITHOUT ROWID;
CREATE INDEX kills_environment ON kills (environment);

-- Tokens made before this change are to be refreshed.
ALTER TABLE environments ADD COLUMN min_revision INTEGER NOT NULL DEFAULT 0;
