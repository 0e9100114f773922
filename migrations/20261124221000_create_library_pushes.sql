-- Pushes by clients of the container library: they say what will come, and tag it afterwards, an
-- image for each architecture.

ALTER TABLE pushes
    ADD COLUMN digest text,
    ADD CONSTRAINT pushes_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$');

-- What a tag means for other architectures than that of the image it points at. All of it is
-- forgotten when the tag is given to a build or to a manifest.
CREATE TABLE other_architectures (
    collection_id uuid NOT NULL,
    name          text NOT NULL,
    architecture  text NOT NULL,
    image_id      uuid NOT NULL REFERENCES images ON DELETE CASCADE,
    PRIMARY KEY (collection_id, name, architecture),
    FOREIGN KEY (collection_id, name) REFERENCES tags ON DELETE CASCADE
);
CREATE INDEX other_architectures_of_image ON other_architectures (image_id);
