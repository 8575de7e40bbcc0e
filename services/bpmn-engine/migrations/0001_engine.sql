-- State of one site's process engine. Times are timestamptz of the database's clock.
-- JSON is kept as text: it is read whole by the engine, and text also holds what jsonb refuses.
-- No foreign keys to `instance`: its rows are written and deleted only under its row lock, in one
-- transaction with the step, and the checks would cost more than the step.

-- A deployed model. The same content under the same key and tag is one row.
create table definition (
    hash text primary key,
    process_key text not null,
    version_tag text not null,
    plugin text not null,
    plugin_version text not null,
    state text not null default 'active' check (state in ('active', 'suspended')),
    -- Orders deployments: the newest active one starts new instances.
    seq bigint generated always as identity,
    deployed timestamptz not null default now(),
    xml text not null,
    jobs text not null
);
create index definition_newest on definition (process_key, version_tag, seq desc);

create table instance (
    id uuid primary key,
    process_key text not null,
    version_tag text not null,
    definition text not null,
    business_key text not null,
    alternative_key text,
    requester text not null,
    status text not null check (status in ('active', 'incident', 'completed', 'failed')),
    -- Grows by one with every transaction that changed the instance.
    rev bigint not null,
    -- Version of the form of `state`; the state is dropped when the instance ends.
    state_version smallint not null,
    state text,
    start_message uuid,
    -- Not null while the instance was neither answered nor ended: it counts for admission until then.
    fresh_until timestamptz,
    started timestamptz not null,
    ended timestamptz,
    traceparent text
) with (fillfactor = 80);
create index instance_key on instance (business_key, process_key, version_tag);
create index instance_alternative_key on instance (alternative_key) where alternative_key is not null;
create index instance_fresh on instance (requester, fresh_until) where fresh_until is not null;
create index instance_open on instance (status) where ended is null;

-- One row per received Task, for its whole life: inbox (unique source), held message, queued start,
-- and desired state of the Task at its endpoint with the work of writing it there.
create table message (
    id uuid primary key,
    base_url text not null,
    reference text not null,
    process_key text not null,
    version_tag text not null,
    message_name text not null,
    business_key text not null,
    correlation_key text,
    requester text not null,
    media_type text not null,
    body text not null,
    received timestamptz not null,
    traceparent text,
    state text not null check (state in ('held', 'queued', 'taken', 'refused')),
    expires timestamptz,
    instance uuid,
    -- Desired state of the Task; null while it stays `requested`.
    desired text check (desired in ('in-progress', 'completed', 'failed')),
    outputs text[] not null default '{}',
    add_business_key text,
    written text,
    written_version bigint,
    -- The write-back: null when there is nothing to write.
    work text check (work in ('ready', 'leased', 'incident')),
    work_due timestamptz,
    work_attempts integer not null default 0,
    lease text,
    lease_until timestamptz,
    worker text,
    unique (base_url, reference)
) with (fillfactor = 70, toast_tuple_target = 512);
create index message_held on message (expires) where state = 'held';
create index message_held_key on message (business_key) where state = 'held';
create index message_queued on message (requester, id) where state = 'queued';
create index message_queued_key on message (business_key) where state = 'queued';
create index message_instance on message (instance) where instance is not null;
create index message_ready on message (work_due) where work = 'ready';
create index message_leased on message (lease_until) where work = 'leased';

-- Signals cross instances, so their subscriptions are rows. Message subscriptions are found in the
-- state of the instance that the business key names.
create table subscription (
    id uuid primary key,
    instance uuid not null,
    kind text not null check (kind in ('signal')),
    name text not null
);
create index subscription_name on subscription (kind, name);
create index subscription_instance on subscription (instance);

-- Work outside the step: `handler` for a worker, `send` for the router, `engine` for ourselves.
create table job (
    id uuid primary key,
    instance uuid not null,
    activity text not null,
    kind text not null,
    stage text not null check (stage in ('handler', 'send', 'engine')),
    -- Type under which it is claimed: `kind`, or the send type.
    claim_kind text not null,
    state text not null default 'ready' check (state in ('ready', 'leased', 'incident')),
    due timestamptz not null,
    attempts integer not null default 0,
    retry_cycle text,
    lease text,
    lease_until timestamptz,
    worker text,
    payload text not null,
    send text,
    send_failure text,
    first_attempt timestamptz,
    start_message uuid,
    latest_message uuid,
    traceparent text,
    created timestamptz not null default now()
) with (fillfactor = 70, toast_tuple_target = 512);
create index job_ready on job (claim_kind, due) where state = 'ready';
create index job_leased on job (lease_until) where state = 'leased';
create index job_instance on job (instance);

create table timer (
    id uuid primary key,
    instance uuid not null,
    activity text not null,
    due timestamptz not null
);
create index timer_instance on timer (instance);
create index timer_due on timer (due);

create table incident (
    id uuid primary key,
    instance uuid,
    job uuid,
    message uuid,
    class text not null check (class in ('job', 'step', 'bpmn-error', 'write-back')),
    activity text,
    reason text not null,
    created timestamptz not null default now(),
    resolved timestamptz
);
create index incident_open on incident (created) where resolved is null;
create index incident_instance on incident (instance);

-- One row per instance and transaction; entries as a JSON array, without values of variables.
create table history (
    instance uuid not null,
    rev bigint not null,
    at timestamptz not null,
    entries text not null,
    primary key (instance, rev)
);
