-- Domains with a whole life: one proof for an organization, a primary one, redirects, looks at their zones that are
-- repeated, and names that are kept for a while after they were given up.

-- Public: it lies in zones. The previous release goes on with the token of each domain, which proves it as well.
alter table organizations add column domain_token text not null default replace(gen_random_uuid()::text, '-', '');

alter table domains add column is_primary boolean not null default false;
alter table domains add column redirect_to text;
alter table domains add column redirect_status smallint not null default 308;
alter table domains add column proof_name text;
alter table domains add column pointing text not null default 'unknown';
alter table domains add column proof_missing_since timestamptz;
alter table domains add column proof_misses smallint not null default 0;
alter table domains add column lost_at timestamptz;
alter table domains add column watched_since timestamptz not null default now();
alter table domains add column next_check_at timestamptz default now();
alter table domains add column asked_at timestamptz;
alter table domains add column diagnosis jsonb;

alter table domains add constraint domains_redirect_status_is_known check (redirect_status in (307, 308));
alter table domains add constraint domains_primary_is_not_redirected check (not is_primary or redirect_to is null);
alter table domains add constraint domains_primary_is_no_wildcard check (not is_primary or hostname not like '*%');
alter table domains add constraint domains_pointing_is_known check (pointing in ('here', 'elsewhere', 'unknown'));
alter table domains add constraint domains_lost_is_not_verified check (lost_at is null or verified_at is null);

update domains set proof_name = hostname where verified_at is not null;
update domains d set is_primary = true where d.domain_id =
    (select e.domain_id from domains e where e.project_id = d.project_id
     order by e.verified_at nulls last, e.domain_id limit 1);

create unique index domains_one_is_primary on domains (project_id) where is_primary;
create index domains_by_proof on domains (proof_name) where verified_at is not null;
create index domains_due on domains (next_check_at) where next_check_at is not null;

create table released_hostnames (
    hostname        text primary key,
    organization_id text references organizations on delete set null,
    reason          text not null constraint released_hostnames_reason_is_known check (reason in ('removed', 'lost')),
    released_at     timestamptz not null default now(),
    held_until      timestamptz not null
);
create index released_hostnames_by_end on released_hostnames (held_until);

create function hold_hostname(name text, organization text, why text) returns void language sql as $$
    insert into released_hostnames (hostname, organization_id, reason, released_at, held_until)
        values (name, organization, why, now(), now() + interval '30 days')
        on conflict (hostname) do update set organization_id = excluded.organization_id, reason = excluded.reason,
            released_at = excluded.released_at, held_until = excluded.held_until
$$;

create function hold_released_hostnames() returns trigger language plpgsql as $$
begin
    if tg_table_name = 'projects' then
        perform hold_hostname(d.hostname, old.organization_id, 'removed')
            from domains d where d.project_id = old.project_id and d.verified_at is not null;
    else
        perform hold_hostname(old.hostname, p.organization_id, 'removed')
            from projects p where p.project_id = old.project_id and old.verified_at is not null;
    end if;
    return old;
end
$$;
create trigger domains_are_held before delete on domains
    for each row execute function hold_released_hostnames();
create trigger domains_of_projects_are_held before delete on projects
    for each row execute function hold_released_hostnames();
