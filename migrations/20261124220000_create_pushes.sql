-- Images that people push, and the artifacts of registries.

-- An image is built, or pushed for a first tag.
ALTER TABLE images
    ALTER COLUMN build_id DROP NOT NULL,
    ADD COLUMN pushed_for text,
    ADD COLUMN pushed_by  uuid REFERENCES users ON DELETE SET NULL,
    ADD CONSTRAINT images_are_built_or_pushed CHECK (num_nonnulls(build_id, pushed_for) = 1),
    ADD CONSTRAINT images_have_no_other_pushers CHECK (pushed_by IS NULL OR build_id IS NULL);
CREATE UNIQUE INDEX images_pushed_once ON images (collection_id, digest) WHERE build_id IS NULL;
CREATE INDEX images_by_pusher ON images (pushed_by) WHERE pushed_by IS NOT NULL;

-- What somebody sends and has not finished sending. The bytes so far are a file of the store.
CREATE TABLE pushes (
    id            uuid        PRIMARY KEY,
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    user_id       uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    touched_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pushes_by_age ON pushes (touched_at);

-- What was sent to a collection, and may be named by its manifests. It stays while one does, and
-- for a while after.
CREATE TABLE blobs (
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    digest        text        NOT NULL REFERENCES objects,
    needed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, digest)
);
CREATE INDEX blobs_by_digest ON blobs (digest);

-- Manifests as they were pushed, byte for byte. That of an image is gone with it.
CREATE TABLE manifests (
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    digest        text        NOT NULL,
    media_type    text        NOT NULL,
    artifact_type text,
    subject       text,
    annotations   jsonb       NOT NULL,
    content       bytea       NOT NULL,
    image_id      uuid        REFERENCES images ON DELETE CASCADE,
    pushed_by     uuid        REFERENCES users ON DELETE SET NULL,
    pushed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection_id, digest),
    CONSTRAINT manifests_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$')
);
CREATE INDEX manifests_by_subject ON manifests (collection_id, subject) WHERE subject IS NOT NULL;
CREATE INDEX manifests_of_image ON manifests (image_id) WHERE image_id IS NOT NULL;

-- The blobs and manifests that a manifest names.
CREATE TABLE manifest_parts (
    collection_id uuid NOT NULL,
    manifest      text NOT NULL,
    digest        text NOT NULL,
    PRIMARY KEY (collection_id, manifest, digest),
    FOREIGN KEY (collection_id, manifest) REFERENCES manifests ON DELETE CASCADE
);
CREATE INDEX manifest_parts_by_digest ON manifest_parts (collection_id, digest);

-- A tag points at an image, by a manifest if it was pushed with one, or at a manifest of something
-- else.
ALTER TABLE tags
    ALTER COLUMN image_id DROP NOT NULL,
    ADD COLUMN manifest text,
    ADD CONSTRAINT tags_point_at_something CHECK (num_nonnulls(image_id, manifest) > 0),
    ADD CONSTRAINT tags_point_at_manifests_that_exist
        FOREIGN KEY (collection_id, manifest) REFERENCES manifests ON DELETE CASCADE;
