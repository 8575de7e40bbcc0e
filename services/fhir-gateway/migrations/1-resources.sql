-- All versions of all resources. Bytes are what clients see; what searches need lies in search_value.
CREATE TABLE resource (
  type          text    NOT NULL,
  id            uuid    NOT NULL,
  version       bigint  NOT NULL,
  -- Milliseconds since 1970: the grain of the wire.
  last_updated  bigint  NOT NULL,
  -- Set on the last version when the resource was deleted; deleting adds no version.
  deleted       bigint,
  current       boolean NOT NULL DEFAULT true,
  -- Compact FHIR JSON with id and meta, references cleaned.
  content       bytea   NOT NULL,
  -- Who may read this version: LOCAL, ALL, ORGANIZATION|<identifier>, ROLE|<parent>|<system>|<code>.
  -- Roles are looked up when somebody reads, so a changed affiliation needs no recomputation.
  read_tags     text[]  NOT NULL,
  -- Binary.securityContext: readable as that resource is; a version only where one was given.
  context_id      uuid,
  context_version bigint,
  PRIMARY KEY (id, version)
);
CREATE INDEX resource_current ON resource (type, last_updated, id) WHERE current AND deleted IS NULL;
CREATE INDEX resource_history ON resource (type, last_updated, id, version);
ALTER TABLE resource ALTER COLUMN content SET STORAGE EXTERNAL;

-- Index values of current versions, one row per parameter and value.
CREATE TABLE search_value (
  id        uuid NOT NULL,
  parameter text NOT NULL,
  -- Code, text in lower case, URI, or `Type/id`; dates have low and high instead.
  value     text,
  -- System of a token, version of a URI; text as written for strings.
  extra     text,
  low       bigint,
  high      bigint
);
-- `extra` may be longer than an index row can be; `value` is cut by its writer. With the id at its end
-- every test of one resource is one probe, whatever the planner believes about the table's size.
CREATE INDEX search_value_by_value ON search_value (parameter, value text_pattern_ops, id);
CREATE INDEX search_value_by_date ON search_value (parameter, low, high) WHERE low IS NOT NULL;
CREATE INDEX search_value_by_id ON search_value (id);

-- What may exist only once, for example `Organization.identifier|hospital.example`.
CREATE TABLE unique_key (
  key text PRIMARY KEY,
  id  uuid NOT NULL
);
CREATE INDEX unique_key_by_id ON unique_key (id);

-- Content of Binaries beyond what fits a resource, in pieces; filled with the streaming of Binaries.
CREATE TABLE binary_chunk (
  id       uuid   NOT NULL,
  version  bigint NOT NULL,
  position integer NOT NULL,
  bytes    bytea  NOT NULL,
  PRIMARY KEY (id, version, position)
);
ALTER TABLE binary_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Events on their way to NATS, written with what they tell of.
CREATE TABLE outbox (
  seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id          uuid  NOT NULL,
  subject     text  NOT NULL,
  payload     bytea NOT NULL,
  traceparent text
);

-- These grow fast at first; plans made for an empty table must not stay for long.
ALTER TABLE resource     SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 500);
ALTER TABLE search_value SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);
