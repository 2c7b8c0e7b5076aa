-- What readers that follow the watermark hold against tokens that are out already.

-- A killed flag. What everybody gets instead is its off value, which the flag itself holds.
CREATE TABLE kills (
    flag        TEXT COLLATE "C" NOT NULL REFERENCES flags (id) ON DELETE CASCADE,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (name) ON DELETE CASCADE,
    revision    BIGINT NOT NULL,                -- tokens made before this change may say otherwise
    PRIMARY KEY (flag, environment)
);
CREATE INDEX kills_environment ON kills (environment);

-- Tokens made before this change are to be refreshed.
ALTER TABLE environments ADD COLUMN min_revision BIGINT NOT NULL DEFAULT 0;
