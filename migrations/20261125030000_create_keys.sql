-- The keys of OpenPGP that the hub hands out: its own, and those that people added.
CREATE TABLE public_keys (
    -- Its own first, then those of its subkeys.
    fingerprints text[]      NOT NULL,
    fingerprint  text        PRIMARY KEY,
    user_ids     text[]      NOT NULL,
    armored      text        NOT NULL,
    is_hubs      boolean     NOT NULL DEFAULT false,
    added_by     uuid        REFERENCES users ON DELETE SET NULL,
    added_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT public_keys_fingerprint_is_sha1 CHECK (fingerprint ~ '^[0-9A-F]{40}$'),
    CONSTRAINT public_keys_know_their_own_fingerprint CHECK (fingerprints[1] = fingerprint),
    CONSTRAINT public_keys_of_the_hub_were_added_by_nobody CHECK (NOT is_hubs OR added_by IS NULL)
);
CREATE INDEX public_keys_by_adder ON public_keys (added_by) WHERE added_by IS NOT NULL;

-- The secret half of the hub's key, sealed. There is one: that of a key before it is forgotten.
CREATE TABLE signing_key (
    fingerprint text    PRIMARY KEY REFERENCES public_keys,
    key_id      text    NOT NULL,
    secret      bytea   NOT NULL,
    is_only_one boolean NOT NULL DEFAULT true UNIQUE,
    CONSTRAINT signing_key_is_only_one CHECK (is_only_one)
);

-- Who signed an image, and whether it is what was signed. Whether they did is for their key to say.
CREATE TABLE image_signatures (
    image_id    uuid    NOT NULL REFERENCES images ON DELETE CASCADE,
    number      integer NOT NULL,
    fingerprint text,
    covers      text    NOT NULL,
    message     text    NOT NULL,
    PRIMARY KEY (image_id, number),
    CONSTRAINT image_signatures_covers_is_known
        CHECK (covers IN ('everything', 'a part', 'something else', 'unknown'))
);

-- The digest of an image as its worker sent it, before the hub signed it.
ALTER TABLE images ADD COLUMN sent_digest text;
