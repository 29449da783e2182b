-- Roles in organizations and projects, tokens of persons, sessions that can be told apart, and an audit log that says
-- what was before and after.

alter table users add column is_operator boolean not null default false;

-- Everybody has one of their own; it leaves with them.
alter table organizations add column personal_of text references users on delete cascade;
alter table organizations add constraint organizations_one_is_personal unique (personal_of);

-- The default of the sessions that are there: nobody signed in before this release.
delete from sessions;
alter table sessions add column session_id text not null check (length(session_id) = 16);
alter table sessions add constraint sessions_id_is_unique unique (session_id);

alter table api_tokens add column project_id text references projects on delete cascade;
alter table api_tokens add constraint api_tokens_of_a_project_is_a_users
    check (project_id is null or kind = 'user');
create index api_tokens_by_user on api_tokens (user_id, api_token_id) where user_id is not null;

alter table projects add column deleted_at timestamptz;

create table collaborators (
    project_id text not null references projects on delete cascade,
    user_id    text not null references users on delete cascade,
    role       text not null constraint collaborators_role_is_known
               check (role in ('owner', 'admin', 'developer', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (project_id, user_id)
);
create index collaborators_by_user on collaborators (user_id);

alter table audit_log add column project_id text;
alter table audit_log add column actor text not null default '';
alter table audit_log add column request_id text not null default '';
create index audit_log_by_project on audit_log (project_id, audit_log_id desc) where project_id is not null;
