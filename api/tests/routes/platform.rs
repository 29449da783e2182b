//! What holds for every route: keys of calls, rates, ids, metrics.

use loggia_runtime::AdminListen;
use loggia_types::api::{ErrorBody, TokenScope};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::world::{ADMIN, World, new_project};

async fn create(world: &World, token: &str, key: &str, body: &Value) -> Response {
    let request = world.http.post(format!("{}/api/v1/projects", world.url)).bearer_auth(token).json(body);
    request.header("idempotency-key", key).send().await.unwrap()
}

#[tokio::test]
async fn a_call_that_is_sent_again_is_answered_as_it_was_and_done_once() {
    let mut world = World::start().await;
    let body = json!({"slug": "shop"});
    let first = create(&world, ADMIN, "4b1c", &body).await;
    assert_eq!(first.status(), StatusCode::CREATED);
    assert!(first.headers().get("idempotency-replayed").is_none());
    let first = first.text().await.unwrap();
    world.restart().await;
    let again = create(&world, ADMIN, "4b1c", &body).await;
    assert_eq!(
        (again.status(), &again.headers()["idempotency-replayed"]),
        (StatusCode::CREATED, &"true".parse().unwrap())
    );
    assert_eq!(again.text().await.unwrap(), first, "the webhook's secret too");
    assert_eq!(world.count("select count(*) from projects").await, 1);
    // Without the client's key nobody opens it.
    let secret =
        serde_json::from_str::<Value>(&first).unwrap()["webhook_secret"].as_str().unwrap().to_owned();
    let kept: Vec<u8> = world
        .database
        .connect()
        .await
        .query_one("select answer from idempotent_calls", &[])
        .await
        .unwrap()
        .get(0);
    assert!(!kept.windows(secret.len()).any(|window| window == secret.as_bytes()));
    // Another call, and another caller.
    let other = create(&world, ADMIN, "4b1c", &json!({"slug": "blog"})).await;
    assert_eq!(other.json::<ErrorBody>().await.unwrap().code, "idempotency_key_reused");
    let anna = world.person("anna").await;
    let of_anna = create(&world, &anna.token, "4b1c", &body).await;
    assert_eq!(of_anna.json::<ErrorBody>().await.unwrap().code, "slug_taken");
}

#[tokio::test]
async fn a_call_that_was_refused_leaves_its_key_free() {
    let world = World::start().await;
    let refused = create(&world, ADMIN, "k", &json!({"slug": "No"})).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(create(&world, ADMIN, "k", &json!({"slug": "yes"})).await.status(), StatusCode::CREATED);
    let empty = create(&world, ADMIN, &"k".repeat(256), &json!({"slug": "more"})).await;
    assert_eq!(empty.json::<ErrorBody>().await.unwrap().code, "invalid_idempotency_key");
}

#[tokio::test]
async fn of_calls_with_one_key_at_the_same_time_one_is_made() {
    let world = World::start().await;
    let body = json!({"slug": "shop"});
    let calls = (0..10).map(|_| create(&world, ADMIN, "same", &body));
    for response in futures::future::join_all(calls).await {
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        let in_use = status == StatusCode::CONFLICT && answer["code"] == "idempotency_key_in_use";
        assert!(status == StatusCode::CREATED || in_use, "{status} {answer}");
    }
    assert_eq!(world.count("select count(*) from projects").await, 1);
    // A call whose process died is taken over.
    let dead =
        "update idempotent_calls set status = null, answer = null, started_at = now() - interval '61 s'";
    world.database.connect().await.batch_execute(dead).await.unwrap();
    let taken_over = create(&world, ADMIN, "same", &body).await;
    assert_eq!(taken_over.json::<ErrorBody>().await.unwrap().code, "slug_taken");
}

#[tokio::test]
async fn who_calls_too_often_is_told_when_to_come_again_and_others_are_served() {
    let world = World::start_with(|config| {
        config.rates.account = "1/3".parse().unwrap();
        config.rates.address = "1/4".parse().unwrap();
    })
    .await;
    let (anna, ben) = (world.person("anna").await, world.person("ben").await);
    for _ in 0..3 {
        anna.api.list_projects(None).await.unwrap();
    }
    let second = world.token(anna.user_id, TokenScope::Read, "").await;
    let url = format!("{}/api/v1/projects", world.url);
    let refused = world.http.get(&url).bearer_auth(&second).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS, "all tokens of a person together");
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.json::<ErrorBody>().await.unwrap().code, "rate_limited");
    ben.api.create_project(&new_project("shop")).await.unwrap();
    // Guessing tokens is counted by address.
    let guess = || world.http.get(&url).bearer_auth("guess").send();
    let mut told = Vec::new();
    for _ in 0..6 {
        told.push(guess().await.unwrap().status().as_u16());
    }
    assert_eq!(told[..], [401, 401, 401, 401, 429, 429]);
    ben.api.list_projects(None).await.unwrap();
    assert!(world.http.get(format!("{}/healthz", world.url)).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn a_request_has_an_id_that_may_come_from_outside_if_it_is_one() {
    let world = World::start().await;
    let url = format!("{}/api/v1/projects/none", world.url);
    for (sent, kept) in [("6b0b4f36-21b1-4f4f", true), ("short", false), ("with space in it", false)] {
        let response =
            world.http.get(&url).bearer_auth(ADMIN).header("x-request-id", sent).send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(id == sent, kept, "{sent}");
        assert_eq!(response.json::<ErrorBody>().await.unwrap().request_id, id);
    }
}

#[tokio::test]
async fn operators_see_requests_queues_and_the_pool() {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let world = World::start_with(|config| config.admin_listen = AdminListen::On(port)).await;
    world.project("shop").await;
    let text = world.http.get(format!("http://{port}/metrics")).send().await.unwrap().text().await.unwrap();
    for line in [
        "loggia_api_requests_total{method=\"POST\",route=\"/api/v1/projects\",status=\"201\"} 1",
        "loggia_api_request_duration_seconds_count{route=\"/api/v1/projects\"} 1",
        "loggia_api_database_up 1",
        "loggia_api_database_connections_max 8",
        "loggia_api_builds_queued 0",
        "loggia_api_event_position 1",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
