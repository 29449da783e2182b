-- The database of Loggia, as it is now. `api/migrations/` is the way between releases; a test proves that
-- both give the same catalog. Ids are 16 characters that sort by time (crates/types/src/id.rs), secrets are
-- stored as SHA-256 only, times are UTC.

-- ── People and teams ────────────────────────────────────────────────────────────────────────────────

-- A person. Without a password hash one signs in through a linked account only.
create table users (
    user_id       text primary key check (length(user_id) = 16),
    email         text not null constraint users_email_is_lower_case check (email = lower(email)),
    name          text not null default '',
    password_hash text,
    created_at    timestamptz not null default now(),
    disabled_at   timestamptz,
    -- Of the whole installation: sees every organization. The first person is one.
    is_operator   boolean not null default false,
    email_verified_at timestamptz,
    constraint users_email_is_unique unique (email)
);

-- The unit that owns projects and pays for limits; everyone has a personal one.
create table organizations (
    organization_id text primary key check (length(organization_id) = 16),
    slug            text not null,
    name            text not null,
    created_at      timestamptz not null default now(),
    -- Leaves with its person.
    personal_of     text references users on delete cascade,
    -- Proves its domains: public, for it lies in their zones.
    domain_token    text not null default replace(gen_random_uuid()::text, '-', ''),
    constraint organizations_slug_is_unique unique (slug),
    constraint organizations_one_is_personal unique (personal_of)
);

-- Who belongs where, and as what.
create table members (
    organization_id text not null references organizations on delete cascade,
    user_id         text not null references users on delete cascade,
    role            text not null constraint members_role_is_known
                    check (role in ('owner', 'admin', 'developer', 'viewer')),
    created_at      timestamptz not null default now(),
    primary key (organization_id, user_id)
);
create index members_by_user on members (user_id);

-- A link in a mail, for this address only, once.
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

-- Browser sessions of the dashboard; the cookie's SHA-256, never the cookie.
create table sessions (
    token_hash  bytea primary key check (length(token_hash) = 32),
    user_id     text not null references users on delete cascade,
    created_at  timestamptz not null default now(),
    expires_at  timestamptz not null,
    last_used_at timestamptz,
    user_agent  text not null default '',
    address     inet,
    -- How a session is named when one ends it.
    session_id  text not null check (length(session_id) = 16),
    -- When a password or a provider vouched for the person last.
    authenticated_at timestamptz not null default now(),
    constraint sessions_id_is_unique unique (session_id)
);
create index sessions_by_user on sessions (user_id);

-- Links in mails, and what lies between a password and its second factor: good once, for a while.
create table one_time_tokens (
    token_hash bytea primary key check (length(token_hash) = 32),
    purpose    text not null constraint one_time_tokens_purpose_is_known
               check (purpose in ('password_reset', 'email_change', 'sign_up', 'second_factor')),
    user_id    text references users on delete cascade,
    -- The address that the link proves.
    email      text,
    -- of a sign-up: name, password_hash
    details    jsonb not null default '{}',
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index one_time_tokens_by_expiry on one_time_tokens (expires_at);

-- Time-based codes (RFC 6238). The secret is sealed with a key that is not here.
create table two_factors (
    user_id      text primary key references users on delete cascade,
    sealed       bytea not null,
    key_id       text not null,
    -- The step of the last code: none is taken twice.
    last_step    bigint not null default 0,
    created_at   timestamptz not null default now(),
    -- Null until the first code showed that the secret arrived.
    confirmed_at timestamptz
);

-- For when the device with the codes is lost. A code that was used is deleted.
create table recovery_codes (
    user_id   text not null references users on delete cascade,
    code_hash bytea not null check (length(code_hash) = 32),
    primary key (user_id, code_hash)
);

-- Wrong tries, by what was tried from where, for accounts that exist and for those that don't.
create table failed_attempts (
    subject_hash   bytea primary key check (length(subject_hash) = 32),
    failures       integer not null,
    last_failed_at timestamptz not null,
    blocked_until  timestamptz
);

-- Accounts elsewhere that open an account here: by the provider's own id of them, never by a mail address.
create table identities (
    provider   text not null,
    subject    text not null,
    user_id    text not null references users on delete cascade,
    -- How the provider calls it, for people to recognise.
    name       text not null default '',
    created_at timestamptz not null default now(),
    primary key (provider, subject),
    constraint identities_one_of_each_provider unique (user_id, provider)
);

-- A visit to a provider that is under way, bound to the browser that began it.
create table oauth_states (
    state_hash   bytea primary key check (length(state_hash) = 32),
    browser_hash bytea not null check (length(browser_hash) = 32),
    provider     text not null,
    verifier     text not null,
    nonce        text not null,
    return_to    text not null,
    -- Who links the account; null for signing in.
    user_id      text references users on delete cascade,
    expires_at   timestamptz not null
);

-- A program that waits for its person to let it in from a browser (RFC 8628).
create table device_codes (
    device_hash  bytea primary key check (length(device_hash) = 32),
    user_code    text not null,
    client       text not null,
    scope        text not null constraint device_codes_scope_is_known check (scope in ('read', 'deploy', 'admin')),
    state        text not null default 'pending' constraint device_codes_state_is_known
                 check (state in ('pending', 'approved', 'denied')),
    user_id      text references users on delete cascade,
    address      inet,
    expires_at   timestamptz not null,
    last_poll_at timestamptz,
    constraint device_codes_user_code_is_unique unique (user_code)
);

-- ── Projects ────────────────────────────────────────────────────────────────────────────────────────

-- The unit that a user owns; its slug is its subdomain.
create table projects (
    project_id        text primary key check (length(project_id) = 16),
    organization_id   text not null references organizations on delete restrict,
    slug              text not null,
    name              text not null,
    repository_url    text,
    -- `host/path` in lower case: what a webhook's repository is compared with.
    repository_identity text,
    production_branch text not null default 'main',
    -- root, install_command, build_command, output: what the owner fixed, the rest is detected.
    build_settings    jsonb not null default '{}',
    not_found         text not null default 'auto' constraint projects_not_found_is_known
                      check (not_found in ('auto', '404-page', 'single-page-application', 'none')),
    -- The forge signs with this, so it has to be readable; it opens nothing else.
    webhook_secret    text not null,
    created_at        timestamptz not null default now(),
    -- Gone for everybody; can be taken back until it is removed for good.
    deleted_at        timestamptz,
    -- framework, node, dialect, html_handling, …: what loggia.toml leaves out
    settings          jsonb not null default '{}',
    constraint projects_slug_is_unique unique (slug)
);
create index projects_by_organization on projects (organization_id, project_id);
create index projects_by_repository on projects (repository_identity) where repository_identity is not null;

create index projects_deleted on projects (deleted_at) where deleted_at is not null;

-- What a project was called: its hostnames of then lead to those of now, for a while.
create table former_slugs (
    slug       text primary key,
    project_id text not null references projects on delete cascade,
    renamed_at timestamptz not null default now()
);
create index former_slugs_by_project on former_slugs (project_id);

-- Who may do what in one project without being a member of its organization.
create table collaborators (
    project_id text not null references projects on delete cascade,
    user_id    text not null references users on delete cascade,
    role       text not null constraint collaborators_role_is_known
               check (role in ('owner', 'admin', 'developer', 'viewer')),
    created_at timestamptz not null default now(),
    primary key (project_id, user_id)
);
create index collaborators_by_user on collaborators (user_id);

-- Tokens for programs. `kind` says who calls: a person's program, a builder or an edge.
create table api_tokens (
    api_token_id    text primary key check (length(api_token_id) = 16),
    token_hash      bytea not null check (length(token_hash) = 32),
    kind            text not null constraint api_tokens_kind_is_known check (kind in ('user', 'builder', 'edge')),
    name            text not null,
    scope           text not null default 'admin' constraint api_tokens_scope_is_known
                    check (scope in ('read', 'deploy', 'admin')),
    user_id         text references users on delete cascade,
    -- Opens this organization only, and below this project only. A user's token without an owner is the operator's, out of
    -- the configuration.
    organization_id text references organizations on delete cascade,
    created_at      timestamptz not null default now(),
    expires_at      timestamptz,
    last_used_at    timestamptz,
    project_id      text references projects on delete cascade,
    -- Its last characters, by which people recognise it.
    hint            text not null default '',
    constraint api_tokens_hash_is_unique unique (token_hash),
    constraint api_tokens_of_a_project_is_a_users check (project_id is null or kind = 'user')
);
create index api_tokens_by_user on api_tokens (user_id, api_token_id) where user_id is not null;

-- Variables of builds: of an organization, of a project, or of neither, which is the whole installation. A secret is
-- sealed with a key that is not here, for exactly this row (api/src/vault.rs).
create table environment_variables (
    organization_id text references organizations on delete cascade,
    project_id      text references projects on delete cascade,
    owner_id        text not null generated always as (coalesce(project_id, organization_id, '')) stored,
    -- branch: and a name holds for this branch alone.
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

-- ── Deployments and their builds ────────────────────────────────────────────────────────────────────

-- One immutable version. `live` and `superseded` are not states: they follow from the aliases.
create table deployments (
    deployment_id text primary key check (length(deployment_id) = 16),
    project_id    text not null references projects on delete cascade,
    source        text not null constraint deployments_source_is_known check (source in ('git', 'upload')),
    state         text not null default 'pending' constraint deployments_state_is_known
                  check (state in ('pending', 'building', 'deploying', 'ready', 'failed', 'cancelled')),
    environment   text not null constraint deployments_environment_is_known
                  check (environment in ('production', 'preview')),
    -- The alias that it moves when it is ready.
    alias         text not null,
    branch        text,
    commit_sha    text,
    before_sha    text,
    message       text not null default '',
    author        text not null default '',
    framework     text,
    -- files, bytes, uploaded, uploaded_bytes, reused
    counts        jsonb,
    problems      jsonb not null default '[]',
    -- step, reason, exit_code, log_tail
    failure       jsonb,
    timings       jsonb not null default '[]',
    -- Rises with every push. An alias is only ever moved forward by a build that ends: two builds of one
    -- branch may end in any order, the later push wins.
    push_sequence bigint generated by default as identity,
    created_at    timestamptz not null default now(),
    finished_at   timestamptz,
    -- False for code from outside, such as a fork's pull request: its build gets no secrets.
    is_trusted    boolean not null default true,
    constraint deployments_git_names_a_commit
        check (source <> 'git' or (branch is not null and commit_sha is not null)),
    constraint deployments_failure_belongs_to_failed check ((failure is not null) = (state = 'failed')),
    constraint deployments_end_has_a_time
        check ((finished_at is not null) = (state in ('ready', 'failed', 'cancelled')))
);
create index deployments_by_project on deployments (project_id, deployment_id desc);
-- A commit of a branch is built once, however often and under whichever delivery the forge reports it.
create unique index deployments_commit_is_unique on deployments (project_id, branch, commit_sha)
    where source = 'git';

-- The queue: one row a build, taken with `for update skip locked`, held by a lease.
create table builds (
    build_id      text primary key check (length(build_id) = 16),
    deployment_id text not null references deployments on delete cascade,
    state         text not null default 'queued' constraint builds_state_is_known
                  check (state in ('queued', 'claimed', 'done')),
    -- Counts claims; the fencing token of the builder that holds it now.
    attempt       smallint not null default 0,
    -- Claims that ended by our own fault.
    faults        smallint not null default 0,
    builder       text,
    lease_until   timestamptz,
    run_after     timestamptz not null default now(),
    created_at    timestamptz not null default now(),
    claimed_at    timestamptz,
    constraint builds_one_per_deployment unique (deployment_id),
    constraint builds_claim_has_a_lease check ((state = 'claimed') = (lease_until is not null))
);
create index builds_waiting on builds (run_after, build_id) where state = 'queued';
create index builds_leased on builds (lease_until) where state = 'claimed';

-- What a build wrote, line by line; (attempt, sequence) makes sending a line twice harmless.
create table build_log_lines (
    build_id  text not null references builds on delete cascade,
    attempt   smallint not null,
    sequence  integer not null,
    step      text not null,
    logged_at timestamptz not null,
    line      text not null,
    primary key (build_id, attempt, sequence)
);

-- Files that a direct upload announced and, once they are there, when they came.
create table upload_files (
    deployment_id text not null references deployments on delete cascade,
    path          text not null,
    sha256        bytea not null check (length(sha256) = 32),
    size_bytes    bigint not null check (size_bytes >= 0),
    -- The folder that holds the bytes, or shall: an unchanged file stays where it is.
    folder        text not null,
    immutable     boolean not null,
    stored_at     timestamptz,
    -- The path that the bytes have there: another one when the same content was there already.
    source_path   text not null,
    -- coding, size, hash: the compressed forms of the content, and what its page asks for in its head
    variants      jsonb not null default '[]',
    link          text,
    primary key (deployment_id, path)
);
create index upload_files_by_content on upload_files (deployment_id, sha256);

-- ── Hostnames ───────────────────────────────────────────────────────────────────────────────────────

-- A name that points at a deployment: production, a branch, a pull request. Promote and roll back move it.
create table aliases (
    project_id    text not null references projects on delete cascade,
    alias         text not null,
    deployment_id text not null references deployments,
    -- The highest push_sequence that a finished build moved this alias to; a roll back leaves it.
    push_sequence bigint not null,
    updated_at    timestamptz not null default now(),
    primary key (project_id, alias)
);
create index aliases_by_deployment on aliases (deployment_id);

-- A hostname that a user attached, or `*.parent` for all directly below one. Served only once a TXT record proved it. What
-- is looked up in its zone, how often, and when it is lost again: api/src/domains/.
create table domains (
    domain_id          text primary key check (length(domain_id) = 16),
    project_id         text not null references projects on delete cascade,
    hostname           text not null constraint domains_hostname_is_lower_case check (hostname = lower(hostname)),
    -- What the first release wanted to see in the TXT record. It proves the domain still; nobody is told it any more.
    verification_token text not null,
    created_at         timestamptz not null default now(),
    -- Null again when it is lost.
    verified_at        timestamptz,
    checked_at         timestamptz,
    -- What search engines list, and others of the project lead to.
    is_primary         boolean not null default false,
    -- Null: it serves. `primary`, or another hostname.
    redirect_to        text,
    redirect_status    smallint not null default 308 constraint domains_redirect_status_is_known
                       check (redirect_status in (307, 308)),
    -- Where the proof was found: the hostname, or one above it. Everything below it is its organization's.
    proof_name         text,
    -- Where its records lead visitors.
    pointing           text not null default 'unknown' constraint domains_pointing_is_known
                       check (pointing in ('here', 'elsewhere', 'unknown')),
    proof_missing_since timestamptz,
    proof_misses       smallint not null default 0,
    lost_at            timestamptz,
    -- Since when somebody waits for something: the longer, the less often it is looked at.
    watched_since      timestamptz not null default now(),
    -- Null: it is only looked at when somebody asks.
    next_check_at      timestamptz default now(),
    asked_at           timestamptz,
    -- The last look, as people are told it.
    diagnosis          jsonb,
    constraint domains_once_per_project unique (project_id, hostname),
    constraint domains_primary_is_not_redirected check (not is_primary or redirect_to is null),
    constraint domains_primary_is_no_wildcard check (not is_primary or hostname not like '*%'),
    constraint domains_lost_is_not_verified check (lost_at is null or verified_at is null)
);
-- Anyone may claim a name, only one can have proved it.
create unique index domains_hostname_is_unique on domains (hostname) where verified_at is not null;
create unique index domains_one_is_primary on domains (project_id) where is_primary;
create index domains_by_proof on domains (proof_name) where verified_at is not null;
create index domains_due on domains (next_check_at) where next_check_at is not null;

-- Names that were served and are not any more. Until then only the organization that had them can have them again: their
-- zones may still lead here, and visitors must not land on somebody else's site. Written by the triggers below, whichever
-- way a domain goes, and when one is lost.
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
-- Once a project is gone its domains cannot tell whose they were.
create trigger domains_of_projects_are_held before delete on projects
    for each row execute function hold_released_hostnames();

-- What edges have to know, in the order of commit. Writers hold an advisory lock from here to their commit
-- (publish_event), so that a reader that saw position n has seen everything below n.
create table events (
    position   bigint generated always as identity primary key,
    project_id text not null,
    hostnames  text[] not null default '{}',
    -- The surrogate keys of what is no longer right in a cache in front of the edges.
    stale_keys text[] not null default '{}',
    -- What a person asked caches to forget: all, keys or urls; soft.
    purge      jsonb,
    -- Taken under the lock, unlike now(): rises with the position.
    created_at timestamptz not null default now()
);

-- Who does not say what is stale declares the whole project so.
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

-- What each CDN in front of the edges was told: it follows the events, twice (docs/decisions/0010). Nothing waits
-- for a CDN, and what it missed is told when it is back.
create table cdn_hooks (
    -- fastly, cloudflare, or the address of a Varnish
    hook          text not null,
    pass          text not null constraint cdn_hooks_pass_is_known check (pass in ('at_once', 'settled')),
    -- Everything up to here was told.
    position      bigint not null,
    -- No api calls the CDN before: another one does just now, or the last call failed.
    not_before    timestamptz not null default now(),
    failures      integer not null default 0,
    failing_since timestamptz,
    last_error    text,
    -- A hook that is no longer configured is not looked at, and keeps no events.
    looked_at     timestamptz not null default now(),
    primary key (hook, pass),
    constraint cdn_hooks_failure_has_a_time check ((failures > 0) = (failing_since is not null))
);

-- ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────

-- One received webhook with its outcome: «why was this built, or not».
create table webhook_deliveries (
    delivery_id          text primary key check (length(delivery_id) = 16),
    project_id           text not null references projects on delete cascade,
    provider             text not null constraint webhook_deliveries_provider_is_known
                         check (provider in ('github', 'gitlab', 'forgejo')),
    -- The forge's own id of it.
    provider_delivery_id text not null,
    event                text not null,
    outcome              text not null,
    deployment_id        text references deployments on delete set null,
    received_at          timestamptz not null default now(),
    constraint webhook_deliveries_once unique (project_id, provider, provider_delivery_id)
);
create index webhook_deliveries_by_project on webhook_deliveries (project_id, delivery_id desc);

-- Secret URLs that build a branch when they are called.
create table deploy_hooks (
    deploy_hook_id text primary key check (length(deploy_hook_id) = 16),
    project_id     text not null references projects on delete cascade,
    token_hash     bytea not null check (length(token_hash) = 32),
    name           text not null,
    branch         text not null,
    created_at     timestamptz not null default now(),
    last_used_at   timestamptz,
    constraint deploy_hooks_hash_is_unique unique (token_hash)
);

-- ── Keeping account ─────────────────────────────────────────────────────────────────────────────────

-- Who changed what, from where. Append-only: the trigger below refuses the rest.
create table audit_log (
    audit_log_id    bigint generated always as identity primary key,
    organization_id text,
    user_id         text,
    api_token_id    text,
    action          text not null,
    target          text not null,
    -- before and after, without secrets
    details         jsonb not null default '{}',
    address         inet,
    happened_at     timestamptz not null default now(),
    project_id      text,
    -- How the one who did it was called at the time: rows outlive people and tokens.
    actor           text not null default '',
    request_id      text not null default ''
);
create index audit_log_by_organization on audit_log (organization_id, audit_log_id desc);
create index audit_log_by_project on audit_log (project_id, audit_log_id desc) where project_id is not null;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end
$$;
create trigger audit_log_is_append_only before update or delete on audit_log
    for each statement execute function refuse_change();

-- Answers to creates that are told again when a client, unsure whether it was heard, asks once more. Sealed with what
-- only the client has.
create table idempotent_calls (
    -- made of the caller's credential and its Idempotency-Key
    key_hash   bytea primary key check (length(key_hash) = 32),
    route      text not null,
    body_hash  bytea not null check (length(body_hash) = 32),
    started_at timestamptz not null default now(),
    -- null while the call is under way
    status     smallint,
    answer     bytea,
    constraint idempotent_calls_answer_has_a_status check ((status is null) = (answer is null))
);
create index idempotent_calls_by_start on idempotent_calls (started_at);

-- Counters by day: build time, stored and served bytes, requests.
create table usage (
    project_id text not null references projects on delete cascade,
    day        date not null,
    metric     text not null constraint usage_metric_is_known
               check (metric in ('build_seconds', 'stored_bytes', 'served_bytes', 'requests')),
    amount     bigint not null default 0,
    primary key (project_id, day, metric)
);

-- Mail that waits for the mail server; the api never does.
create table mail_outbox (
    mail_id     bigint generated always as identity primary key,
    recipient   text not null,
    subject     text not null,
    text_body   text not null,
    html_body   text not null default '',
    attempts    smallint not null default 0,
    send_after  timestamptz not null default now(),
    created_at  timestamptz not null default now(),
    sent_at     timestamptz,
    last_error  text,
    kind        text not null default '',
    -- What it is about, and to whom: nobody gets two mails about one event.
    event       text,
    -- Where the reader says that this was the last one.
    unsubscribe text,
    given_up_at timestamptz,
    constraint mail_outbox_once unique (event)
);
create index mail_outbox_waiting on mail_outbox (send_after, mail_id) where sent_at is null and given_up_at is null;

-- What a person wants mail about. Who has no row wants all of it; mail about the safety of an account is always sent.
create table mail_preferences (
    user_id              text primary key references users on delete cascade,
    deployment_failed    boolean not null default true,
    deployment_recovered boolean not null default true,
    domain_lost          boolean not null default true,
    -- In the link at the end of a mail: it opens this row and nothing else.
    unsubscribe_token    text not null default replace(gen_random_uuid()::text, '-', ''),
    constraint mail_preferences_token_is_unique unique (unsubscribe_token)
);
