-- Which image has a piece of which object. What an image needs cannot be removed.
CREATE TABLE image_objects (
    image_id uuid NOT NULL REFERENCES images ON DELETE CASCADE,
    digest   text NOT NULL REFERENCES objects,
    PRIMARY KEY (image_id, digest)
);
CREATE INDEX image_objects_by_digest ON image_objects (digest);
INSERT INTO image_objects (image_id, digest)
SELECT DISTINCT images.id, extent ->> 'object'
FROM images, jsonb_array_elements(images.layout) AS extent;

-- What the image of a build will be made of. The build may name an object in its layout once it
-- is proven: it sent the bytes, or could have downloaded them. While the build runs, they stay.
CREATE TABLE build_objects (
    build_id   uuid    NOT NULL REFERENCES builds ON DELETE CASCADE,
    digest     text    NOT NULL,
    size_bytes bigint  NOT NULL,
    is_proven  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (build_id, digest),
    CONSTRAINT build_objects_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$')
);
CREATE INDEX build_objects_by_digest ON build_objects (digest);

-- Since when nothing needs an object, as far as the collector has seen.
ALTER TABLE objects ADD COLUMN unused_since timestamptz;
CREATE INDEX objects_unused ON objects (unused_since) WHERE unused_since IS NOT NULL;
