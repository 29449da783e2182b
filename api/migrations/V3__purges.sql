-- Purges are events; each event says what caches in front of the edges have to drop, and what of that each
-- configured CDN was told is remembered.

alter table events add column stale_keys text[] not null default '{}';
alter table events add column purge jsonb;

-- Calls with the two arguments of before go on to work while an older api is still running.
drop function publish_event(text, text[]);
create function publish_event(project text, appeared text[], stale text[] default null, purged jsonb default null)
returns bigint language plpgsql as $$
declare
    new_position bigint;
begin
    perform pg_advisory_xact_lock(7024510);
    insert into events (project_id, hostnames, stale_keys, purge, created_at)
        values (project, appeared, coalesce(stale, array['p-' || project]), purged, clock_timestamp())
        returning position into new_position;
    perform pg_notify('loggia_events', new_position::text);
    return new_position;
end
$$;

create table cdn_hooks (
    hook          text not null,
    pass          text not null constraint cdn_hooks_pass_is_known check (pass in ('at_once', 'settled')),
    position      bigint not null,
    not_before    timestamptz not null default now(),
    failures      integer not null default 0,
    failing_since timestamptz,
    last_error    text,
    looked_at     timestamptz not null default now(),
    primary key (hook, pass),
    constraint cdn_hooks_failure_has_a_time check ((failures > 0) = (failing_since is not null))
);
