//! From what happened to a mail at a real mail server, which is away in between.

use std::time::Duration;

use loggia_api::MailWay;
use loggia_runtime::Secret;
use loggia_types::api::{Notifications, Role};
use loggia_types::build::{BuildFailure, BuildReport, Outcome, Step};
use loggia_types::publish::PublishCounts;
use reqwest::{Method, StatusCode};

use crate::smtp_server::{Mood, SmtpServer};
use crate::world::{ADMIN, Person, World, sha};

async fn world(server: &SmtpServer) -> World {
    let url = server.url.clone();
    World::start_with(|config| config.mail.way = MailWay::Smtp(Secret::new(url))).await
}

/// A push of `digit` to main that is built, with this outcome.
async fn build(world: &World, digit: char, fails: bool) {
    let body =
        serde_json::json!({"source": "git", "branch": "main", "commit": sha(digit), "message": "Say hello"});
    let url = format!("{}/api/v1/projects/shop/deployments", world.url);
    let created = world.http.post(url).bearer_auth(ADMIN).json(&body).send().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let claimed = world.builder.claim("tests", Duration::from_secs(5)).await.unwrap().unwrap();
    let outcome = if fails {
        Outcome::Failed(BuildFailure {
            step: Step::Build,
            reason: "the build command ended with the exit code 1".into(),
            exit_code: Some(1),
            log_tail: vec!["npm error Missing script: \"build\"".into()],
        })
    } else {
        Outcome::Ready { counts: PublishCounts::default(), framework: "static".into(), problems: Vec::new() }
    };
    let report = BuildReport { attempt: claimed.attempt, outcome, timings: Vec::new() };
    world.builder.report(claimed.build_id, &report).await.unwrap();
}

/// As if the wait for the next try were over.
async fn hurry(world: &World) {
    let sql = "update mail_outbox set send_after = now() where sent_at is null; select pg_notify('loggia_mail', '')";
    world.database.connect().await.batch_execute(sql).await.unwrap();
}

async fn member(world: &World, name: &str, role: Role) -> Person {
    let person = world.person(name).await;
    world.join(&person, "default", role).await;
    person
}

/// Waits for a number in the database.
async fn until(world: &World, sql: &str, wanted: i64) {
    let waiting = async {
        while world.count(sql).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect(sql);
}

#[tokio::test]
async fn a_failure_and_a_recovery_reach_those_who_work_on_it_through_a_server_that_fails_in_between() {
    let server = SmtpServer::start(&[Mood::HangUp, Mood::Later]).await;
    let world = world(&server).await;
    member(&world, "anna", Role::Developer).await;
    member(&world, "victor", Role::Viewer).await;
    world.project("shop").await;
    build(&world, 'a', true).await;
    server.until(|seen| seen.tries == 1).await;
    until(&world, "select count(*) from mail_outbox where last_error is not null", 1).await;
    hurry(&world).await;
    server.until(|seen| seen.tries == 2).await;
    until(&world, "select count(*) from mail_outbox where last_error like '%come again later%'", 1).await;
    hurry(&world).await;
    let seen = server.until(|seen| seen.mails.len() == 1).await;
    let mail = &seen.mails[0];
    for part in [
        "To: anna@example.org",
        "From: Loggia <loggia@localhost>",
        "Subject: shop: the deployment failed",
        "Auto-Submitted: auto-generated",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "exit code 1",
        "aaaaaaa: Say hello",
        "text/html",
    ] {
        assert!(mail.contains(part), "{part} is not in\n{mail}");
    }
    build(&world, 'b', false).await;
    let seen = server.until(|seen| seen.mails.len() == 2).await;
    assert!(seen.mails[1].contains("Subject: shop: deployments work again"), "{}", seen.mails[1]);
    build(&world, 'c', false).await;
    until(&world, "select count(*) from mail_outbox where sent_at is not null", 2).await;
    let bodies = "select count(*) from mail_outbox where text_body <> '' or html_body <> ''";
    assert_eq!(world.count(bodies).await, 0, "nothing is kept of what was sent");
    assert_eq!(
        world.count("select count(*) from mail_outbox").await,
        2,
        "all went well the third time: no mail"
    );
}

#[tokio::test]
async fn an_address_that_is_refused_is_given_up_and_holds_nobody_else_up() {
    let server = SmtpServer::start(&[Mood::Never]).await;
    let world = world(&server).await;
    member(&world, "anna", Role::Developer).await;
    member(&world, "ben", Role::Owner).await;
    world.project("shop").await;
    build(&world, 'a', true).await;
    let seen = server.until(|seen| seen.mails.len() == 1).await;
    assert_eq!(seen.tries, 2);
    until(
        &world,
        "select count(*) from mail_outbox where given_up_at is not null and last_error like '%5.1.1%'",
        1,
    )
    .await;
}

#[tokio::test]
async fn a_mail_whose_sender_died_goes_again_and_two_apis_send_each_once() {
    let server = SmtpServer::start(&[]).await;
    let world = world(&server).await;
    world.start_another().await;
    for name in ["anna", "ben", "cleo", "dora", "emil", "fred"] {
        member(&world, name, Role::Developer).await;
    }
    world.project("shop").await;
    build(&world, 'a', true).await;
    server.until(|seen| seen.mails.len() == 6).await;
    until(&world, "select count(*) from mail_outbox where sent_at is not null", 6).await;
    // Taken by a process that is gone.
    let died = "update mail_outbox set sent_at = null, attempts = 1, text_body = 'x', send_after = now() - interval '1 s'
                where recipient = 'anna@example.org'; select pg_notify('loggia_mail', '')";
    world.database.connect().await.batch_execute(died).await.unwrap();
    let seen = server.until(|seen| seen.mails.len() == 7).await;
    let ids: Vec<_> =
        seen.mails.iter().filter(|mail| mail.contains("To: anna@")).map(|mail| id(mail)).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "a mail program drops the second");
}

fn id(mail: &str) -> &str {
    mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).expect("a Message-ID")
}

#[tokio::test]
async fn who_declines_gets_no_more_by_settings_or_by_the_link() {
    let server = SmtpServer::start(&[]).await;
    let world = world(&server).await;
    let anna = member(&world, "anna", Role::Developer).await;
    let ben = member(&world, "ben", Role::Developer).await;
    world.project("shop").await;
    let settings = format!("{}/api/v1/user/notifications", world.url);
    let wanted = Notifications { deployment_failed: false, deployment_recovered: true, domain_lost: true };
    let set = world.http.put(&settings).bearer_auth(&anna.token).json(&wanted).send().await.unwrap();
    assert_eq!(set.json::<Notifications>().await.unwrap(), wanted);
    build(&world, 'a', true).await;
    let seen = server.until(|seen| seen.mails.len() == 1).await;
    let mail = &seen.mails[0];
    assert!(mail.contains("To: ben@example.org"));
    // Folded lines of a head belong together.
    let unfolded = mail.replace("\r\n ", "");
    let link = unfolded.lines().find_map(|line| line.strip_prefix("List-Unsubscribe: <")).unwrap();
    let link = link.trim().trim_end_matches('>');
    for (method, declined) in [(Method::GET, false), (Method::POST, true)] {
        let answer = world.http.request(method, link).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let get = world.http.get(&settings).bearer_auth(&ben.token).send().await.unwrap();
        assert_eq!(!get.json::<Notifications>().await.unwrap().deployment_failed, declined);
    }
    let foreign = link.replace("unsubscribe/", "unsubscribe/0");
    assert_eq!(world.http.post(foreign).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    build(&world, 'b', true).await;
    assert_eq!(world.count("select count(*) from mail_outbox").await, 1, "nobody wants the second");
}
