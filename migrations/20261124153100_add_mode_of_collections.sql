-- Which grammar the definitions of a collection are read with.
ALTER TABLE collections
    ADD COLUMN mode text NOT NULL DEFAULT 'modern',
    ADD CONSTRAINT collections_mode_is_known CHECK (mode IN ('modern', 'lenient'));
