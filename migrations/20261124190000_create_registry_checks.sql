-- Whether a collection's accounts get an image from its registry. A worker asks, and has until
-- lease_until to tell the steps; they hold no secret.
CREATE TABLE registry_checks (
    id            uuid        PRIMARY KEY,
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    uri           text        NOT NULL,
    state         text        NOT NULL DEFAULT 'queued',
    worker_id     uuid        REFERENCES workers ON DELETE SET NULL,
    lease_until   timestamptz,
    steps         jsonb,
    reason        text,
    asked_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT registry_checks_state_is_known
        CHECK (state IN ('queued', 'running', 'answered', 'unanswered')),
    CONSTRAINT registry_checks_leased_iff_running
        CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT registry_checks_steps_iff_answered
        CHECK ((state = 'answered') = (steps IS NOT NULL)),
    CONSTRAINT registry_checks_explained_iff_unanswered
        CHECK ((state = 'unanswered') = (reason IS NOT NULL))
);
CREATE INDEX registry_checks_open ON registry_checks (asked_at, id)
    WHERE state IN ('queued', 'running');
CREATE INDEX registry_checks_of_collection ON registry_checks (collection_id, asked_at DESC);
