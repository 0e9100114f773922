-- How often each image of a collection was downloaded. By its digest, so that a file which is built
-- again, or deleted and pushed again, goes on counting.
CREATE TABLE pulls (
    collection_id uuid   NOT NULL REFERENCES collections ON DELETE CASCADE,
    digest        text   NOT NULL,
    count         bigint NOT NULL,
    PRIMARY KEY (collection_id, digest),
    CONSTRAINT pulls_digest_is_sha256 CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    CONSTRAINT pulls_happened CHECK (count > 0)
);
