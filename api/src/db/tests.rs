//! Every statement against the real schema, and the schema against the migrations and the Rust enums.

use std::collections::BTreeSet;

use loggia_types::api::{Role, TokenScope};
use tokio_postgres::Client;

use super::cdn_hooks::Pass;
use super::deployments::State;
use super::one_time_tokens::Purpose;
use crate::test_database::TestDatabase;

const SCHEMA: &str = include_str!("../../../schema.sql");

#[tokio::test]
async fn every_statement_prepares_against_the_schema() {
    let client = TestDatabase::create().await.connect().await;
    let modules = [
        ("aliases", super::aliases::ALL),
        ("audit_log", super::audit_log::ALL),
        ("builds", super::builds::ALL),
        ("cdn_hooks", super::cdn_hooks::ALL),
        ("deliveries", super::deliveries::ALL),
        ("deployments", super::deployments::ALL),
        ("device_codes", super::device_codes::ALL),
        ("domains", super::domains::ALL),
        ("events", super::events::ALL),
        ("failed_attempts", super::failed_attempts::ALL),
        ("idempotent_calls", super::idempotent_calls::ALL),
        ("invitations", super::invitations::ALL),
        ("log_lines", super::log_lines::ALL),
        ("mail_preferences", super::mail_preferences::ALL),
        ("mails", super::mails::ALL),
        ("members", super::members::ALL),
        ("one_time_tokens", super::one_time_tokens::ALL),
        ("organizations", super::organizations::ALL),
        ("projects", super::projects::ALL),
        ("routes", super::routes::ALL),
        ("sealed", super::sealed::ALL),
        ("sessions", super::sessions::ALL),
        ("state", super::state::ALL),
        ("tokens", super::tokens::ALL),
        ("two_factors", super::two_factors::ALL),
        ("uploads", super::uploads::ALL),
        ("users", super::users::ALL),
        ("variables", super::variables::ALL),
    ];
    for (module, statements) in modules {
        for (name, sql) in statements {
            if let Err(error) = client.prepare(sql).await {
                panic!("{module}::{name}: {}", super::describe(&error));
            }
        }
    }
}

#[tokio::test]
async fn migrations_and_schema_sql_give_the_same_catalog() {
    let migrated = TestDatabase::create().await.connect().await;
    let direct = TestDatabase::create_empty().await.connect().await;
    direct.batch_execute(SCHEMA).await.expect("schema.sql runs");
    let (migrated, direct) = (catalog(&migrated).await, catalog(&direct).await);
    let differences: Vec<&String> = migrated.symmetric_difference(&direct).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(migrated.len() > 100, "the catalog was read");
}

/// An upload that was under way while the api was updated can go on, and so can an api of before.
#[tokio::test]
async fn migrations_keep_the_rows_that_are_there() {
    let client = TestDatabase::create_empty().await.connect().await;
    let before = include_str!("../../migrations/V1__first_release.sql");
    client.batch_execute(before).await.expect("the first release");
    let rows = "
        insert into organizations (organization_id, slug, name) values ('0000000000000001', 'acme', 'Acme');
        insert into projects (project_id, organization_id, slug, name, webhook_secret)
            values ('0000000000000002', '0000000000000001', 'shop', 'Shop', 'x');
        insert into deployments (deployment_id, project_id, source, state, environment, alias)
            values ('0000000000000003', '0000000000000002', 'upload', 'deploying', 'production', 'production');
        insert into upload_files (deployment_id, path, sha256, size_bytes, folder, immutable)
            values ('0000000000000003', 'a.css', sha256('a'), 1, '0000000000000003', false);
        insert into domains (domain_id, project_id, hostname, verification_token, verified_at)
            values ('0000000000000004', '0000000000000002', 'a.example.com', 'x', null),
                   ('0000000000000005', '0000000000000002', 'b.example.com', 'x', now());
        select publish_event('0000000000000002', '{shop.localhost}')";
    client.batch_execute(rows).await.expect("rows");
    for path in crate::test_database::migrations().iter().skip(1) {
        let migration = std::fs::read_to_string(path).expect("reads");
        client.batch_execute(&migration).await.unwrap_or_else(|error| panic!("{path:?} on rows: {error}"));
    }
    let query =
        "select hostname from domains where is_primary and proof_name = hostname and next_check_at <= now()";
    let primary: String = client.query_one(query, &[]).await.expect("one is primary").get(0);
    assert_eq!(primary, "b.example.com", "the proven one");
    let query = "select source_path, variants::text, link from upload_files";
    let row = client.query_one(query, &[]).await.expect("the row");
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("a.css", "[]", None::<&str>));
    // As an api of before calls it: nobody knows what changed, so everything of the project is stale.
    client.query("select publish_event('0000000000000002', '{}')", &[]).await.expect("publishes");
    let query = "select hostnames, stale_keys, purge is null from events order by position";
    let rows = client.query(query, &[]).await.expect("the events");
    let rows: Vec<(Vec<String>, Vec<String>, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected =
        [(texts(&["shop.localhost"]), texts(&[]), true), (texts(&[]), texts(&["p-0000000000000002"]), true)];
    assert_eq!(rows, expected);
}

/// Columns, constraints, indexes, functions and triggers, as text.
async fn catalog(client: &Client) -> BTreeSet<String> {
    let queries = [
        "select format('column %s.%s %s %s %s %s', table_name, column_name, data_type, is_nullable, column_default,
                       is_identity) as line
         from information_schema.columns where table_schema = 'public'",
        "select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) as line
         from pg_constraint where connamespace = 'public'::regnamespace",
        "select indexdef as line from pg_indexes where schemaname = 'public'",
        "select pg_get_functiondef(oid) as line from pg_proc where pronamespace = 'public'::regnamespace",
        "select pg_get_triggerdef(oid) as line from pg_trigger where not tgisinternal",
    ];
    let mut lines = BTreeSet::new();
    for query in queries {
        let rows = client.query(query, &[]).await.expect("reads the catalog");
        lines.extend(rows.iter().map(|row| row.get::<_, String>("line")));
    }
    lines.retain(|line| !line.contains("refinery_schema_history"));
    lines
}

#[tokio::test]
async fn the_schema_knows_exactly_the_states_of_the_code() {
    let client = TestDatabase::create().await.connect().await;
    let states: Vec<&str> = State::ALL.into_iter().map(State::as_str).collect();
    assert_eq!(names_in_check(&client, "deployments_state_is_known").await, set(&states));
    let modes = ["auto", "404-page", "single-page-application", "none"];
    for mode in modes {
        assert!(mode.parse::<loggia_types::manifest::NotFound>().is_ok());
    }
    assert_eq!(names_in_check(&client, "projects_not_found_is_known").await, set(&modes));
    let passes = Pass::ALL.map(Pass::as_str);
    assert_eq!(names_in_check(&client, "cdn_hooks_pass_is_known").await, set(&passes));
    use loggia_types::api::Pointing;
    let pointings = [Pointing::Here, Pointing::Elsewhere, Pointing::Unknown].map(Pointing::as_str);
    assert_eq!(names_in_check(&client, "domains_pointing_is_known").await, set(&pointings));
    let purposes = Purpose::ALL.map(Purpose::as_str);
    assert_eq!(names_in_check(&client, "one_time_tokens_purpose_is_known").await, set(&purposes));
    let roles = Role::ALL.map(Role::as_str);
    assert_eq!(names_in_check(&client, "members_role_is_known").await, set(&roles));
    assert_eq!(names_in_check(&client, "collaborators_role_is_known").await, set(&roles));
    let scopes = TokenScope::ALL.map(TokenScope::as_str);
    assert_eq!(names_in_check(&client, "api_tokens_scope_is_known").await, set(&scopes));
    assert_eq!(names_in_check(&client, "api_tokens_kind_is_known").await, set(&["user", "builder", "edge"]));
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The quoted words of a check constraint.
async fn names_in_check(client: &Client, constraint: &str) -> BTreeSet<String> {
    let query = "select pg_get_constraintdef(oid) as definition from pg_constraint where conname = $1";
    let row = client.query_one(query, &[&constraint]).await.expect("the constraint exists");
    let definition: String = row.get("definition");
    definition.split('\'').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Otherwise a rotation leaves its secrets behind, and the old key would be taken away under them.
#[tokio::test]
async fn every_table_with_sealed_columns_takes_part_in_rotations() {
    let client = TestDatabase::create().await.connect().await;
    let query = "select table_name::text from information_schema.columns
                 where table_schema = 'public' and column_name = 'key_id' order by table_name";
    let there: Vec<String> =
        client.query(query, &[]).await.expect("the catalog").iter().map(|row| row.get(0)).collect();
    let known: Vec<&str> = super::sealed::SealedTable::ALL.map(super::sealed::SealedTable::name).into();
    assert_eq!(there, known);
}

#[tokio::test]
async fn the_audit_log_cannot_be_rewritten() {
    let client = TestDatabase::create().await.connect().await;
    client
        .batch_execute("insert into audit_log (action, target) values ('promote', 'shop')")
        .await
        .expect("appends");
    for change in ["update audit_log set action = 'x'", "delete from audit_log"] {
        assert!(client.batch_execute(change).await.is_err(), "{change}");
    }
}

#[tokio::test]
async fn events_that_a_cdn_was_not_told_of_are_kept_for_as_long_as_anybody_looks() {
    let database = TestDatabase::create().await;
    let pool = super::pool(&database.config, 1);
    let client = pool.get().await.expect("a connection");
    super::cdn_hooks::ensure(&client, "fastly", Pass::AtOnce).await.expect("registers");
    let rows = "
        select publish_event('0000000000000002', '{}') from generate_series(1, 5);
        update events set created_at = now() - interval '2 days';
        update cdn_hooks set position = 3";
    client.batch_execute(rows).await.expect("rows");
    assert_eq!(super::events::prune(&client).await.expect("prunes"), 3, "those that were told");
    client.batch_execute("update cdn_hooks set position = 4").await.expect("told");
    assert_eq!(super::events::prune(&client).await.expect("prunes"), 1);
    client.batch_execute("select publish_event('0000000000000002', '{}')").await.expect("one more");
    assert_eq!(super::events::prune(&client).await.expect("prunes"), 0);
    let given_up = "update cdn_hooks set looked_at = now() - interval '2 days'";
    client.batch_execute(given_up).await.expect("nobody is configured for it");
    assert_eq!(super::events::prune(&client).await.expect("prunes"), 1);
}
