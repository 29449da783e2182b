use hmac::{Hmac, KeyInit, Mac};
use loggia_types::api::{DeploymentStatus, WebhookAnswer};
use reqwest::Response;
use sha2::Sha256;

use crate::world::{World, sha, slug};

pub(crate) struct Push<'a> {
    pub(crate) delivery: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) before: char,
    pub(crate) after: char,
}

fn payload(repository: &str, push: &Push<'_>) -> String {
    serde_json::json!({
        "ref": format!("refs/heads/{}", push.branch),
        "before": sha(push.before),
        "after": sha(push.after),
        "deleted": false,
        "head_commit": { "id": sha(push.after), "message": "Change", "author": { "name": "Ada" } },
        "repository": { "clone_url": repository, "pushed_at": 1_700_000_000 },
    })
    .to_string()
}

fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes()))
}

pub(crate) async fn send(
    world: &World,
    event: &str,
    delivery: &str,
    signature: &str,
    body: String,
) -> Response {
    world
        .http
        .post(format!("{}/api/v1/webhooks/github", world.url))
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", signature)
        .body(body)
        .send()
        .await
        .unwrap()
}

/// A signed push to a project made by `World::project`.
pub(crate) async fn push(world: &World, project: &str, secret: &str, push: &Push<'_>) -> WebhookAnswer {
    let body = payload(&format!("https://github.com/acme/{project}.git"), push);
    let response = send(world, "push", push.delivery, &sign(secret, &body), body).await;
    assert_eq!(response.status(), 202);
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_push_becomes_one_deployment_however_often_it_is_delivered() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    let first = Push { delivery: "d1", branch: "main", before: '0', after: 'a' };
    let answer = push(&world, "shop", &secret, &first).await;
    assert_eq!((answer.outcome.as_str(), answer.deployments.len()), ("queued", 1));
    // The same delivery again, and the same push under another delivery.
    assert_eq!(push(&world, "shop", &secret, &first).await.outcome, "duplicate");
    assert_eq!(push(&world, "shop", &secret, &Push { delivery: "d2", ..first }).await.outcome, "duplicate");
    let deployments = world.api.list_deployments(&slug("shop"), None).await.unwrap().items;
    assert_eq!(deployments.len(), 1);
    assert_eq!(deployments[0].status, DeploymentStatus::Pending);
    assert_eq!((deployments[0].message.as_str(), deployments[0].author.as_str()), ("Change", "Ada"));
    assert_eq!(world.count("select count(*) from builds").await, 1);
}

#[tokio::test]
async fn racing_deliveries_of_one_push_become_one_deployment() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    let deliveries: Vec<String> = (0..8).map(|n| format!("d{n}")).collect();
    let pushes = deliveries.iter().map(|delivery| async {
        push(&world, "shop", &secret, &Push { delivery, branch: "main", before: '0', after: 'a' })
            .await
            .outcome
    });
    let outcomes = futures::future::join_all(pushes).await;
    assert_eq!(outcomes.iter().filter(|outcome| *outcome == "queued").count(), 1, "{outcomes:?}");
    assert_eq!(world.count("select count(*) from deployments").await, 1);
}

#[tokio::test]
async fn a_bad_signature_and_an_unknown_repository_are_refused_alike_and_nothing_is_stored() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    let push = Push { delivery: "d1", branch: "main", before: '0', after: 'a' };
    let ours = payload("https://github.com/acme/shop.git", &push);
    let theirs = payload("https://github.com/evil/other.git", &push);
    let mut bodies = Vec::new();
    for (body, signature, status) in [
        (ours.clone(), sign("wrong", &ours), 401),
        (theirs.clone(), sign(&secret, &theirs), 401),
        (ours.clone() + " ", sign(&secret, &ours), 401),
        (ours.clone(), "sha256=zz".to_owned(), 400),
        (ours.clone(), sign(&secret, &ours).replace("sha256=", "sha1="), 400),
    ] {
        let response = send(&world, "push", "d1", &signature, body).await;
        assert_eq!(response.status().as_u16(), status, "{signature}");
        if status == 401 {
            let error: loggia_types::api::ErrorBody = response.json().await.unwrap();
            bodies.push((error.code, error.detail));
        }
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(world.count("select count(*) from webhook_deliveries").await, 0);
    assert_eq!(world.count("select count(*) from deployments").await, 0);
}

#[tokio::test]
async fn ping_answers_and_what_builds_nothing_is_ignored() {
    let world = World::start().await;
    let secret = world.project("shop").await.webhook_secret;
    let repository = "https://github.com/Acme/Shop";
    let ping =
        serde_json::json!({"zen": "Keep it logically awesome.", "repository": {"clone_url": repository}});
    let ping = ping.to_string();
    let response = send(&world, "ping", "d1", &sign(&secret, &ping), ping.clone()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<WebhookAnswer>().await.unwrap().outcome, "pong");
    let tag = payload(repository, &Push { delivery: "", branch: "x", before: '0', after: 'a' });
    let tag = tag.replace("refs/heads/x", "refs/tags/v1");
    let response = send(&world, "push", "d2", &sign(&secret, &tag), tag.clone()).await;
    assert_eq!(response.json::<WebhookAnswer>().await.unwrap().outcome, "ignored");
    assert_eq!(world.count("select count(*) from deployments").await, 0);
}

#[tokio::test]
async fn a_repository_with_two_projects_deploys_both_that_trust_the_signature() {
    let world = World::start().await;
    let mut one = crate::world::new_project("one");
    let mut two = crate::world::new_project("two");
    let mut stranger = crate::world::new_project("stranger");
    for project in [&mut one, &mut two, &mut stranger] {
        project.repository_url = Some("https://github.com/acme/mono.git".parse().unwrap());
        project.webhook_secret = Some("one-secret-for-the-monorepo".into());
    }
    stranger.webhook_secret = Some("somebody-elses-secret".into());
    for project in [&one, &two, &stranger] {
        world.api.create_project(project).await.unwrap();
    }
    let main = Push { delivery: "d1", branch: "main", before: '0', after: 'a' };
    let answer = push(&world, "mono", "one-secret-for-the-monorepo", &main).await;
    assert_eq!(answer.deployments.len(), 2);
    assert!(world.api.list_deployments(&slug("stranger"), None).await.unwrap().items.is_empty());
}
