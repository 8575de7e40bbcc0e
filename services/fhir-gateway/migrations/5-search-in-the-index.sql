-- Searches count their matches, and cut a page of the newest, in an index alone: it also holds when a version
-- came to be and who may read it. Both belong to the version and never change.

-- Sets of read tags that occur. Rows are never removed: there are as many as combinations of readers.
CREATE TABLE readers (
  id   uuid   PRIMARY KEY,
  tags text[] NOT NULL
);
CREATE INDEX readers_by_tag ON readers USING gin (tags);

CREATE FUNCTION readers_of(tags text[]) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT encode(substring(sha256(convert_to(tags::text, 'UTF8')) FOR 16), 'hex')::uuid $$;

ALTER TABLE resource ADD COLUMN readers uuid NOT NULL GENERATED ALWAYS AS (readers_of(read_tags)) STORED;
-- An index alone is enough only where the server knows that rows are visible to all.
ALTER TABLE resource SET (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 1000);
INSERT INTO readers (id, tags) SELECT DISTINCT readers, read_tags FROM resource;
DROP INDEX resource_current;
CREATE INDEX resource_current ON resource (type, last_updated, id) INCLUDE (readers) WHERE current AND deleted IS NULL;

CREATE TABLE indexed AS
  SELECT s.*, r.last_updated, r.readers,
         row_number() OVER (PARTITION BY s.id, s.parameter, s.value, s.low, s.high ORDER BY s.extra) = 1 AS first
  FROM (SELECT DISTINCT id, parameter, value, extra, low, high FROM search_value) s
  JOIN resource r ON r.id = s.id AND r.current AND r.deleted IS NULL;
DROP TABLE search_value;
ALTER TABLE indexed RENAME TO search_value;
ALTER TABLE search_value
  ALTER COLUMN id SET NOT NULL,
  ALTER COLUMN parameter SET NOT NULL,
  ALTER COLUMN last_updated SET NOT NULL,
  ALTER COLUMN readers SET NOT NULL,
  -- Of the rows of a resource that differ in `extra` alone, one: who does not ask for it counts each resource once.
  ALTER COLUMN first SET NOT NULL,
  SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000,
       autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 5000);
CREATE INDEX search_value_by_value ON search_value (parameter, value text_pattern_ops, last_updated, id)
  INCLUDE (readers, first);
CREATE INDEX search_value_by_date ON search_value (parameter, low, high) WHERE low IS NOT NULL;
-- With the parameter, every test of one resource is one probe, whatever the planner believes about the table.
CREATE INDEX search_value_by_id ON search_value (id, parameter);
