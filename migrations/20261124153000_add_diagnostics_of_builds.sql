-- What the last attempt told of the definition, each with its place.
ALTER TABLE builds ADD COLUMN diagnostics jsonb NOT NULL DEFAULT '[]';
