-- The current version of a resource is one probe, however many versions it has.
CREATE INDEX resource_by_id ON resource (id) WHERE current;
