-- Who may do what: accounts and how they log in, teams, roles in collections, tokens with scopes.

-- An account without a password is invited, or logs in at a provider.
ALTER TABLE users
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN disabled_at timestamptz;

-- What a provider calls an account: the subject never changes there, names and addresses do.
CREATE TABLE identities (
    provider   text        NOT NULL,
    subject    text        NOT NULL,
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subject)
);
CREATE INDEX identities_of_user ON identities (user_id);

-- A link that sets a password, once; the SHA-256 of what the link holds. An account has one at most.
CREATE TABLE invitations (
    user_id    uuid        PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    token_hash bytea       NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invitations_are_told_apart UNIQUE (token_hash)
);

ALTER TABLE sessions
    ADD COLUMN id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN address      text        NOT NULL DEFAULT '',
    ADD COLUMN agent        text        NOT NULL DEFAULT '',
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT sessions_are_told_apart UNIQUE (id);
CREATE INDEX sessions_of_user ON sessions (user_id);

-- The tokens there were before are an administrator's, and stay good for everything.
ALTER TABLE api_tokens
    ADD COLUMN id         uuid   NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN scopes     text[] NOT NULL DEFAULT '{admin}',
    ADD COLUMN expires_at timestamptz,
    ADD CONSTRAINT api_tokens_are_told_apart UNIQUE (id),
    ADD CONSTRAINT api_tokens_are_good_for_something CHECK (cardinality(scopes) > 0),
    ADD CONSTRAINT api_tokens_scopes_are_known CHECK (scopes <@ '{read,push,build,admin}');
ALTER TABLE api_tokens ALTER COLUMN scopes DROP DEFAULT;
CREATE INDEX api_tokens_of_user ON api_tokens (user_id);

CREATE TABLE teams (
    id         uuid        PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX teams_name_is_unique ON teams (lower(name));

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON team_members (user_id);

ALTER TABLE collections
    ADD COLUMN visibility text NOT NULL DEFAULT 'public',
    ADD CONSTRAINT collections_visibility_is_known
        CHECK (visibility IN ('public', 'internal', 'private'));

-- In this order, the greatest of several roles counts.
CREATE TYPE collection_role AS ENUM ('reader', 'builder', 'owner');

-- The role of a user or of a team, never of both, and one for each.
CREATE TABLE collection_members (
    collection_id uuid            NOT NULL REFERENCES collections ON DELETE CASCADE,
    user_id       uuid            REFERENCES users ON DELETE CASCADE,
    team_id       uuid            REFERENCES teams ON DELETE CASCADE,
    role          collection_role NOT NULL,
    CONSTRAINT collection_members_are_a_user_or_a_team CHECK (num_nonnulls(user_id, team_id) = 1),
    CONSTRAINT collection_members_have_one_role UNIQUE NULLS NOT DISTINCT (collection_id, user_id, team_id)
);
CREATE INDEX collection_members_by_user ON collection_members (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX collection_members_by_team ON collection_members (team_id) WHERE team_id IS NOT NULL;

-- The role that somebody has in a collection, by themselves or by a team.
CREATE FUNCTION role_in(collection uuid, person uuid) RETURNS collection_role
LANGUAGE sql STABLE AS $$
    SELECT max(role)
    FROM collection_members
    WHERE collection_id = collection
        AND (user_id = person
            OR team_id IN (SELECT team_id FROM team_members WHERE team_members.user_id = person))
$$;

-- Whether somebody sees a collection in lists. Nobody is NULL; who sees everything is an administrator.
-- The same question about one collection is answered by `rights::may`; a test compares them.
CREATE FUNCTION is_seen(collection uuid, visibility text, person uuid, everything boolean)
RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT everything
        OR visibility = 'public'
        OR (visibility = 'internal' AND person IS NOT NULL)
        OR role_in(collection, person) IS NOT NULL
$$;
