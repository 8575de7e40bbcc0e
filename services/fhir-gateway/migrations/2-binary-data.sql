-- Data of Binaries that are too large to be part of a resource, in pieces of equal length but the last.
-- Each upload has an id of its own: versions written at the same time never share pieces.
DROP TABLE binary_chunk;
CREATE TABLE binary_chunk (
  data     uuid    NOT NULL,
  position integer NOT NULL,
  bytes    bytea   NOT NULL,
  PRIMARY KEY (data, position)
);
ALTER TABLE binary_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

-- Uploads that may not have become part of a version (yet); their pieces are removed when they are
-- abandoned. `touched`: the last piece.
CREATE TABLE binary_upload (
  data    uuid PRIMARY KEY,
  touched timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE resource ADD COLUMN data_id uuid, ADD COLUMN data_size bigint;
CREATE INDEX resource_data ON resource (data_id) WHERE data_id IS NOT NULL;

-- Wherever a version is removed, its data go with it.
CREATE FUNCTION remove_binary_data() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM binary_chunk WHERE data = OLD.data_id;
  RETURN NULL;
END $$;
CREATE TRIGGER resource_data_removed AFTER DELETE ON resource
  FOR EACH ROW WHEN (OLD.data_id IS NOT NULL) EXECUTE FUNCTION remove_binary_data();
