-- Calls, user tasks, operations and what operators look at.

alter table instance add column parent uuid;
alter table instance drop constraint instance_status_check;
alter table instance add constraint instance_status_check
    check (status in ('active', 'incident', 'completed', 'failed', 'cancelled'));
-- When what is kept of an ended instance may go (historyTimeToLive of its model).
alter table instance add column kept_until timestamptz;
create index instance_parent on instance (parent) where parent is not null;
create index instance_kept on instance (kept_until) where kept_until is not null;

-- `amended` is the last status of a QuestionnaireResponse that completed a user task.
alter table message drop constraint message_desired_check;
alter table message add constraint message_desired_check
    check (desired in ('in-progress', 'completed', 'failed', 'amended'));

alter table job drop constraint job_stage_check;
alter table job add constraint job_stage_check check (stage in ('handler', 'send', 'engine', 'form'));
-- Organization a send goes to: pausing a partner holds its sends back.
alter table job add column recipient text;

-- A token at an error end event has no job.
alter table incident add column token uuid;
create index incident_job on incident (job) where resolved is null;

-- Open user tasks, and which QuestionnaireResponse asks for each.
create table user_task (
    id uuid primary key,
    instance uuid not null,
    activity text not null,
    name text,
    form_key text,
    base_url text,
    reference text,
    created timestamptz not null default now()
);
create index user_task_instance on user_task (instance);

-- What is paused. No job is handed out, no timer fires and no continuation runs for it.
create table pause (
    scope text not null check (scope in ('engine', 'process', 'partner', 'instance')),
    name text not null,
    since timestamptz not null default now(),
    primary key (scope, name)
);

-- Every operation, by whom and why; without values of variables.
create table audit (
    id uuid primary key,
    at timestamptz not null default now(),
    actor text not null,
    action text not null,
    object text not null,
    reason text not null
);
create index audit_at on audit (at);

-- How long activities take: counts by power of two of the milliseconds.
create table activity_time (
    process_key text not null,
    version_tag text not null,
    activity text not null,
    bucket smallint not null,
    count bigint not null,
    primary key (process_key, version_tag, activity, bucket)
);
