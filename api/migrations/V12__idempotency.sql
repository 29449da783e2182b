-- Answers to creates that are told again when a client, unsure whether it was heard, asks once more.

create table idempotent_calls (
    key_hash   bytea primary key check (length(key_hash) = 32),
    route      text not null,
    body_hash  bytea not null check (length(body_hash) = 32),
    started_at timestamptz not null default now(),
    status     smallint,
    answer     bytea,
    constraint idempotent_calls_answer_has_a_status check ((status is null) = (answer is null))
);
create index idempotent_calls_by_start on idempotent_calls (started_at);
