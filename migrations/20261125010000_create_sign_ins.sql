-- Signing in with a provider.

-- Who vouches is named by its issuer, which stays the same when the hub's settings call it otherwise.
ALTER TABLE identities RENAME COLUMN provider TO issuer;
ALTER TABLE identities
    ADD COLUMN id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    -- What the person was called there when last seen; nothing is decided by it.
    ADD COLUMN label        text        NOT NULL DEFAULT '',
    ADD COLUMN last_used_at timestamptz,
    ADD CONSTRAINT identities_are_told_apart UNIQUE (id);

-- Browsers that were sent to a provider and have not come back: the SHA-256 of the state that was
-- sent along, and of the browser's cookie. A row is taken once.
CREATE TABLE sign_ins (
    state_hash      bytea       PRIMARY KEY,
    browser_hash    bytea       NOT NULL,
    provider        text        NOT NULL,
    nonce           text        NOT NULL,
    verifier        text        NOT NULL,
    -- The page to go on with.
    next            text        NOT NULL,
    -- Whose account is to be linked.
    user_id         uuid        REFERENCES users ON DELETE CASCADE,
    -- Which invitation is to be taken.
    invitation_hash bytea,
    address         text        NOT NULL,
    expires_at      timestamptz NOT NULL,
    CONSTRAINT sign_ins_are_for_one_thing CHECK (num_nonnulls(user_id, invitation_hash) <= 1)
);
CREATE INDEX sign_ins_by_address ON sign_ins (address, expires_at);
