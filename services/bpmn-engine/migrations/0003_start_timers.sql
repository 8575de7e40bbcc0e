-- Timer start events of the newest definition of each key and tag. A row stays when it is over (`due` is
-- null), so that deploying the same content again does not start it again.
create table start_timer (
    process_key text not null,
    version_tag text not null,
    event text not null,
    definition text not null,
    -- Anchor of durations and repetitions.
    deployed timestamptz not null,
    due timestamptz,
    primary key (process_key, version_tag, event)
);
create index start_timer_due on start_timer (due) where due is not null;
