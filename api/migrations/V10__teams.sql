-- Invitations, tokens that can be recognised, and what becomes of projects that are renamed or deleted.

create table invitations (
    invitation_id   text primary key check (length(invitation_id) = 16),
    organization_id text not null references organizations on delete cascade,
    email           text not null,
    role            text not null constraint invitations_role_is_known
                    check (role in ('owner', 'admin', 'developer', 'viewer')),
    token_hash      bytea not null check (length(token_hash) = 32),
    invited_by      text references users on delete set null,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz not null,
    constraint invitations_hash_is_unique unique (token_hash),
    constraint invitations_once unique (organization_id, email)
);

alter table api_tokens add column hint text not null default '';

alter table projects add column settings jsonb not null default '{}';
create index projects_deleted on projects (deleted_at) where deleted_at is not null;

create table former_slugs (
    slug       text primary key,
    project_id text not null references projects on delete cascade,
    renamed_at timestamptz not null default now()
);
create index former_slugs_by_project on former_slugs (project_id);
