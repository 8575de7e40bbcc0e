-- Values that very many resources share (a status, a profile, a requester) are kept once for all resources
-- that have the same type, readers and shared values: these make up a bucket. How many resources a bucket
-- holds is known without counting them, and an index has them in the order of their time: a search by shared
-- values costs what its page costs, however many resources match.
CREATE TABLE bucket (
  -- Made of what its resources share, by the writer. Two buckets of the same content do no harm.
  id        uuid   PRIMARY KEY,
  type      text   NOT NULL,
  read_tags text[] NOT NULL,
  -- Current resources that are not deleted, without the changes that wait in bucket_change.
  count     bigint NOT NULL DEFAULT 0
);
CREATE INDEX bucket_by_type ON bucket (type);

-- Values of the parameters that resources share; as in search_value.
CREATE TABLE bucket_value (
  bucket    uuid NOT NULL,
  parameter text NOT NULL,
  value     text,
  extra     text
);
CREATE INDEX bucket_value_by_value ON bucket_value (parameter, value text_pattern_ops, bucket);
CREATE INDEX bucket_value_by_bucket ON bucket_value (bucket, parameter);

-- Resources that came into a bucket (1) or left it (-1). Writers of one bucket would wait for each other if
-- each changed its count; these rows are added to it every few seconds.
CREATE TABLE bucket_change (
  bucket uuid     NOT NULL,
  n      smallint NOT NULL
);

CREATE TEMPORARY TABLE shared ON COMMIT DROP AS
  SELECT DISTINCT s.id, s.parameter, s.value, s.extra FROM search_value s
  WHERE split_part(split_part(s.parameter, '.', 2), ':', 1) IN
    ('_profile', 'active', 'author', 'contentType', 'payload', 'questionnaire', 'requester', 'role', 'status', 'type');
CREATE INDEX ON shared (id);
ANALYZE shared;
CREATE TEMPORARY TABLE placed ON COMMIT DROP AS
  SELECT r.id, r.version, r.type, r.read_tags,
         encode(substring(sha256(convert_to(
           ROW(r.type, r.read_tags, array_agg(ROW(s.parameter, s.value, s.extra)::text
             ORDER BY s.parameter, s.value, s.extra))::text, 'UTF8')) FOR 16), 'hex')::uuid AS bucket
  FROM resource r LEFT JOIN shared s ON s.id = r.id
  WHERE r.current AND r.deleted IS NULL
  GROUP BY r.id, r.version, r.type, r.read_tags;
INSERT INTO bucket (id, type, read_tags, count)
  SELECT bucket, type, read_tags, count(*) FROM placed GROUP BY bucket, type, read_tags;
INSERT INTO bucket_value (bucket, parameter, value, extra)
  SELECT DISTINCT p.bucket, s.parameter, s.value, s.extra FROM placed p JOIN shared s ON s.id = p.id;

-- Of versions that are not current, whatever they had when they were.
ALTER TABLE resource ADD COLUMN bucket uuid;
DROP INDEX resource_current;
UPDATE resource r SET bucket = p.bucket FROM placed p WHERE r.id = p.id AND r.version = p.version;
ALTER TABLE resource
  ADD CONSTRAINT resource_in_bucket CHECK (bucket IS NOT NULL OR NOT current OR deleted IS NOT NULL),
  DROP COLUMN readers;
DROP TABLE readers;
DROP FUNCTION readers_of;
CREATE INDEX resource_current ON resource (bucket, last_updated, id) WHERE current AND deleted IS NULL;

-- Values of single resources remain; who may read them and when they came to be is known by the bucket.
CREATE TABLE own_value AS
  SELECT DISTINCT s.id, s.parameter, s.value, s.extra, s.low, s.high FROM search_value s
  WHERE NOT EXISTS (SELECT FROM shared h WHERE h.id = s.id AND h.parameter = s.parameter);
DROP TABLE search_value;
ALTER TABLE own_value RENAME TO search_value;
ALTER TABLE search_value
  ALTER COLUMN id SET NOT NULL,
  ALTER COLUMN parameter SET NOT NULL,
  SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);
-- `extra` may be longer than an index row can be; `value` is cut by its writer. With the id behind the value,
-- every test of one resource is one probe, whatever the planner believes about the table.
CREATE INDEX search_value_by_value ON search_value (parameter, value text_pattern_ops, id);
CREATE INDEX search_value_by_date ON search_value (parameter, low, high) WHERE low IS NOT NULL;
CREATE INDEX search_value_by_id ON search_value (id, parameter);
