-- Sessions that an OpenID provider has ended: `sid|<session>` or `sub|<subject>`.
CREATE TABLE oidc_logout (
  what text        PRIMARY KEY,
  at   timestamptz NOT NULL DEFAULT now()
);
