-- Signing in: sessions that know when, second factors, linked accounts, one-time tokens, devices, and counting of
-- wrong tries.

alter table users add column email_verified_at timestamptz;
alter table sessions add column authenticated_at timestamptz not null default now();

create table one_time_tokens (
    token_hash bytea primary key check (length(token_hash) = 32),
    purpose    text not null constraint one_time_tokens_purpose_is_known
               check (purpose in ('password_reset', 'email_change', 'sign_up', 'second_factor')),
    user_id    text references users on delete cascade,
    email      text,
    details    jsonb not null default '{}',
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index one_time_tokens_by_expiry on one_time_tokens (expires_at);

create table two_factors (
    user_id      text primary key references users on delete cascade,
    sealed       bytea not null,
    key_id       text not null,
    last_step    bigint not null default 0,
    created_at   timestamptz not null default now(),
    confirmed_at timestamptz
);

create table recovery_codes (
    user_id   text not null references users on delete cascade,
    code_hash bytea not null check (length(code_hash) = 32),
    primary key (user_id, code_hash)
);

create table failed_attempts (
    subject_hash   bytea primary key check (length(subject_hash) = 32),
    failures       integer not null,
    last_failed_at timestamptz not null,
    blocked_until  timestamptz
);

create table identities (
    provider   text not null,
    subject    text not null,
    user_id    text not null references users on delete cascade,
    name       text not null default '',
    created_at timestamptz not null default now(),
    primary key (provider, subject),
    constraint identities_one_of_each_provider unique (user_id, provider)
);

create table oauth_states (
    state_hash   bytea primary key check (length(state_hash) = 32),
    browser_hash bytea not null check (length(browser_hash) = 32),
    provider     text not null,
    verifier     text not null,
    nonce        text not null,
    return_to    text not null,
    user_id      text references users on delete cascade,
    expires_at   timestamptz not null
);

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
