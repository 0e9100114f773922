-- Accounts of a collection for registries. The password is sealed by the key `key_id`; its
-- associated data are the other columns, so that it opens in no other row.
CREATE TABLE registry_credentials (
    id            uuid        PRIMARY KEY,
    collection_id uuid        NOT NULL REFERENCES collections ON DELETE CASCADE,
    registry      text        NOT NULL,
    username      text        NOT NULL,
    key_id        text        NOT NULL,
    password      bytea       NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT registry_credentials_one_per_registry UNIQUE (collection_id, registry)
);
