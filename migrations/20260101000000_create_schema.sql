-- The hub's tables. Names of constraints say what they hold; time is always the database's now().

CREATE TYPE build_state AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');
CREATE TYPE delivery_state AS ENUM ('received', 'processing', 'done', 'failed', 'rejected');

CREATE TABLE users (
    id            uuid        PRIMARY KEY,
    name          text        NOT NULL,
    password_hash text        NOT NULL,
    is_admin      boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_name_is_unique ON users (lower(name));

-- Sessions and tokens are stored as the SHA-256 of what the client holds.
CREATE TABLE sessions (
    token_hash bytea       PRIMARY KEY,
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_tokens (
    token_hash   bytea       PRIMARY KEY,
    user_id      uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    name         text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz
);

CREATE TABLE workers (
    id           uuid        PRIMARY KEY,
    name         text        NOT NULL,
    token_hash   bytea       NOT NULL,
    version      text,
    architecture text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz,
    CONSTRAINT workers_name_is_unique UNIQUE (name),
    CONSTRAINT workers_token_is_unique UNIQUE (token_hash)
);

CREATE TABLE collections (
    id                  uuid        PRIMARY KEY,
    name                text        NOT NULL,
    clone_url           text        NOT NULL,
    forge               text        NOT NULL,
    forge_repository_id bigint,
    default_branch      text,
    webhook_secret      text        NOT NULL,
    max_running         integer     NOT NULL DEFAULT 2,
    created_at          timestamptz NOT NULL DEFAULT now(),
    -- The clone URL without scheme, user, `.git` and capitals: what a webhook's URLs are compared with.
    address             text        NOT NULL GENERATED ALWAYS AS (
        lower(regexp_replace(
            regexp_replace(clone_url, '^[A-Za-z+]+://([^/@]*@)?', ''), '(\.git)?/*$', ''))
    ) STORED,
    CONSTRAINT collections_run_something CHECK (max_running > 0)
);
CREATE UNIQUE INDEX collections_name_is_unique ON collections (lower(name));
CREATE INDEX collections_by_address ON collections (address);

-- Every webhook of a connected repository, stored before anything is done about it. A delivery
-- whose signature is wrong is kept without its payload, only so that its owner can see it.
CREATE TABLE deliveries (
    id            uuid           PRIMARY KEY,
    collection_id uuid           NOT NULL REFERENCES collections ON DELETE CASCADE,
    forge         text           NOT NULL,
    forge_id      text           NOT NULL,
    event         text           NOT NULL,
    payload       bytea          NOT NULL,
    content_type  text           NOT NULL,
    state         delivery_state NOT NULL DEFAULT 'received',
    verdict       text,
    reason        text,
    attempts      integer        NOT NULL DEFAULT 0,
    redeliveries  integer        NOT NULL DEFAULT 0,
    received_at   timestamptz    NOT NULL DEFAULT now(),
    retry_at      timestamptz    NOT NULL DEFAULT now(),
    processed_at  timestamptz,
    CONSTRAINT deliveries_processed_iff_final
        CHECK ((state IN ('done', 'failed', 'rejected')) = (processed_at IS NOT NULL)),
    CONSTRAINT deliveries_final_have_a_verdict
        CHECK (processed_at IS NULL OR verdict IS NOT NULL)
);
CREATE UNIQUE INDEX deliveries_are_recorded_once
    ON deliveries (collection_id, forge, forge_id) WHERE state <> 'rejected';
CREATE INDEX deliveries_to_process ON deliveries (received_at) WHERE state IN ('received', 'processing');
CREATE INDEX deliveries_of_collection ON deliveries (collection_id, received_at DESC);

-- An object of the store: complete, hashed and on disk before its row exists.
CREATE TABLE objects (
    digest     text        PRIMARY KEY,
    size_bytes bigint      NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT objects_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$')
);

CREATE TABLE builds (
    id               uuid        PRIMARY KEY,
    collection_id    uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    delivery_id      uuid        REFERENCES deliveries ON DELETE SET NULL,
    recipe           text        NOT NULL,
    recipe_blob      text        NOT NULL,
    commit_sha       text        NOT NULL,
    commit_time      timestamptz NOT NULL,
    git_ref          text        NOT NULL,
    tag              text        NOT NULL,
    aliases          text[]      NOT NULL DEFAULT '{}',
    tag_note         text,
    state            build_state NOT NULL DEFAULT 'queued',
    -- Every claim raises attempt, so it fences; attempts that a worker handed back do not count.
    attempt          integer     NOT NULL DEFAULT 0,
    released         integer     NOT NULL DEFAULT 0,
    worker_id        uuid        REFERENCES workers ON DELETE SET NULL,
    lease_until      timestamptz,
    cancel_requested boolean     NOT NULL DEFAULT false,
    failure          jsonb,
    queued_at        timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,
    finished_at      timestamptz,
    CONSTRAINT builds_leased_iff_running
        CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT builds_finished_iff_final
        CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT builds_explained_iff_not_built
        CHECK ((state IN ('failed', 'cancelled')) = (failure IS NOT NULL))
);
CREATE INDEX builds_queue ON builds (queued_at, id) WHERE state = 'queued';
CREATE INDEX builds_running ON builds (lease_until) WHERE state = 'running';
CREATE INDEX builds_of_collection ON builds (collection_id, queued_at DESC);
CREATE INDEX builds_of_recipe ON builds (collection_id, git_ref, recipe, queued_at DESC);
-- One delivery makes one build of each recipe, however often its processing is repeated.
CREATE UNIQUE INDEX builds_once_per_delivery ON builds (delivery_id, recipe, tag);

CREATE TABLE build_phases (
    build_id   uuid        NOT NULL REFERENCES builds ON DELETE CASCADE,
    attempt    integer     NOT NULL,
    name       text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    PRIMARY KEY (build_id, attempt, name)
);

-- The log of an attempt in numbered chunks; start_offset is the bytes of all chunks before.
CREATE TABLE build_log_chunks (
    build_id     uuid    NOT NULL REFERENCES builds ON DELETE CASCADE,
    attempt      integer NOT NULL,
    number       integer NOT NULL,
    start_offset bigint  NOT NULL,
    bytes        bytea   NOT NULL,
    PRIMARY KEY (build_id, attempt, number)
);

CREATE TABLE images (
    id            uuid        PRIMARY KEY,
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    build_id      uuid        NOT NULL REFERENCES builds ON DELETE CASCADE,
    digest        text        NOT NULL,
    md5           text        NOT NULL,
    size_bytes    bigint      NOT NULL,
    layout        jsonb       NOT NULL,
    facts         jsonb       NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT images_published_once_per_build UNIQUE (build_id),
    CONSTRAINT images_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    CONSTRAINT images_md5_is_md5 CHECK (md5 ~ '^[0-9a-f]{32}$')
);
CREATE INDEX images_of_collection ON images (collection_id, created_at DESC);
CREATE INDEX images_by_digest ON images (digest);

-- A tag points at a stored image and at nothing else.
CREATE TABLE tags (
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    name          text        NOT NULL,
    image_id      uuid        NOT NULL REFERENCES images ON DELETE CASCADE,
    moved_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, name)
);
