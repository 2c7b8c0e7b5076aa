-- The change log answers what held at a revision: for each document the last edit up to then, found by one probe each, so
-- that the cost is that of what is asked and not of how long the log has grown.

-- A flag's setting in one environment.
CREATE INDEX edits_setting ON edits (id, environment, revision) WHERE entity = 'setting';
-- A flag's override for one user, and for one organization in one environment.
CREATE INDEX edits_user_override ON edits (user_id, id, revision) WHERE entity = 'override';
CREATE INDEX edits_organization_override ON edits (organization, environment, id, revision) WHERE entity = 'override';
-- The last change that touches an environment; NULL stands for all of them. Keys are logged, but touch none.
CREATE INDEX edits_environment ON edits (environment, revision) WHERE entity <> 'api_key';
