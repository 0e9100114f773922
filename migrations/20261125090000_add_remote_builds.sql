-- Builds that somebody asks for with a definition of their own, and no repository.

-- Whose remote builds the collection has that name no other; such a collection has no clone URL.
ALTER TABLE collections
    ADD COLUMN remote_builds_of uuid REFERENCES users ON DELETE CASCADE,
    ADD CONSTRAINT collections_have_remote_builds_of_one UNIQUE (remote_builds_of);

-- Go's name of the architecture that it has to be built on; any, when there is none.
ALTER TABLE builds ADD COLUMN architecture text;
