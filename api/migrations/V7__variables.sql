-- Variables of the platform, of organizations and of projects, for all builds, one environment, or one branch. Nothing wrote
-- the table of before, nor reads it.
drop table environment_variables;

create table environment_variables (
    organization_id text references organizations on delete cascade,
    project_id      text references projects on delete cascade,
    owner_id        text not null generated always as (coalesce(project_id, organization_id, '')) stored,
    context         text not null constraint environment_variables_context_is_known
                    check (context in ('all', 'production', 'preview') or context like 'branch:_%'),
    name            text not null constraint environment_variables_name_is_valid
                    check (name ~ '^[A-Za-z_][A-Za-z0-9_]{0,127}$'),
    value           text,
    sealed          bytea,
    key_id          text,
    updated_at      timestamptz not null default now(),
    updated_by      text references users on delete set null,
    primary key (owner_id, context, name),
    constraint environment_variables_one_owner check (organization_id is null or project_id is null),
    constraint environment_variables_plain_or_sealed check ((value is null) <> (sealed is null)),
    constraint environment_variables_sealed_names_its_key check ((sealed is null) = (key_id is null))
);

alter table deployments add column is_trusted boolean not null default true;
