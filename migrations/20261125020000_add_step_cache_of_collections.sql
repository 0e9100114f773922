-- Whether builds may take what scripts and files made before: those of a collection, and one build
-- that somebody asked for. Where either says off, nothing is taken.
ALTER TABLE collections
    ADD COLUMN step_cache text NOT NULL DEFAULT 'on',
    ADD CONSTRAINT collections_step_cache_is_known CHECK (step_cache IN ('on', 'off'));
ALTER TABLE builds
    ADD COLUMN step_cache text NOT NULL DEFAULT 'on',
    ADD CONSTRAINT builds_step_cache_is_known CHECK (step_cache IN ('on', 'off'));
