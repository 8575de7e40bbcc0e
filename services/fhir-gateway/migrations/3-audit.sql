-- Decisions about requests, in a hash chain (crates/audit). Rows are only ever added; the oldest go together
-- when their time is over.
CREATE TABLE audit (
  seq    bigint PRIMARY KEY,
  -- JSON text: its bytes are what the hash covers.
  event  text   NOT NULL,
  hash   bytea  NOT NULL
);

-- Both ends of the chain, one row.
CREATE TABLE audit_head (
  single      boolean PRIMARY KEY DEFAULT true CHECK (single),
  first_seq   bigint NOT NULL,
  before_hash bytea  NOT NULL CHECK (length(before_hash) = 32),
  last_seq    bigint NOT NULL,
  last_hash   bytea  NOT NULL CHECK (length(last_hash) = 32)
);
INSERT INTO audit_head (first_seq, before_hash, last_seq, last_hash)
VALUES (1, decode(repeat('00', 32), 'hex'), 0, decode(repeat('00', 32), 'hex'));

-- Events of writes, in the transaction of the write; soon taken over into the chain.
CREATE TABLE audit_pending (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event  text NOT NULL
);

-- Guards against mistakes; against those who may drop it there are the hashes.
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND current_setting('dsf.audit_prune', true) = 'on' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'rows of the audit table are never changed or removed';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
