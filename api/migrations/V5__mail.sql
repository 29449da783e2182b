-- Mails that are sent once for an event, given up when they cannot be, and that people can decline.

alter table mail_outbox add column kind text not null default '';
alter table mail_outbox add column event text;
alter table mail_outbox add column unsubscribe text;
alter table mail_outbox add column given_up_at timestamptz;
alter table mail_outbox add constraint mail_outbox_once unique (event);
drop index mail_outbox_waiting;
create index mail_outbox_waiting on mail_outbox (send_after, mail_id) where sent_at is null and given_up_at is null;

create table mail_preferences (
    user_id              text primary key references users on delete cascade,
    deployment_failed    boolean not null default true,
    deployment_recovered boolean not null default true,
    domain_lost          boolean not null default true,
    unsubscribe_token    text not null default replace(gen_random_uuid()::text, '-', ''),
    constraint mail_preferences_token_is_unique unique (unsubscribe_token)
);
