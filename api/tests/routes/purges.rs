use futures::StreamExt;
use loggia_types::event::Change;
use loggia_types::purge::PurgeRequest;
use loggia_types::{Purge, SurrogateKey};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{ADMIN, BUILDER, World, changes, slug};

async fn post(world: &World, token: &str, project: &str, body: &Value) -> (StatusCode, Value) {
    let url = format!("{}/api/v1/projects/{project}/purge", world.url);
    let response = world.http.post(url).bearer_auth(token).json(body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_purge_reaches_every_edge_as_it_was_accepted() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    let streams = [world.edge.events(None).await.unwrap(), world.edge.events(None).await.unwrap()];
    let mut edges = streams.map(|stream| Box::pin(changes(stream)));
    for edge in &mut edges {
        edge.next().await.unwrap().unwrap();
    }
    let own = format!("a-{}-production", project.id);
    let cases = [
        (json!({"all": true}), json!({"all": true})),
        (json!({"all": true, "soft": true}), json!({"all": true, "soft": true})),
        (json!({"keys": ["news", own], "soft": false}), json!({"keys": ["news", own]})),
        (
            json!({"urls": ["https://SHOP.localhost/a?b=1", "next--shop.localhost"], "soft": true}),
            json!({"urls": ["shop.localhost/a?b=1", "next--shop.localhost/"], "soft": true}),
        ),
    ];
    for (body, purged) in cases {
        let (status, answer) = post(&world, ADMIN, "shop", &body).await;
        assert_eq!((status, &answer["purged"]), (StatusCode::ACCEPTED, &purged), "{body}");
        for edge in &mut edges {
            let event = edge.next().await.unwrap().unwrap();
            assert_eq!(json!(event.position), answer["position"]);
            let purge: Purge = serde_json::from_value(purged.clone()).unwrap();
            assert_eq!(event.change, Change::Purge { project_id: project.id, purge });
        }
    }
}

#[tokio::test]
async fn what_cannot_be_purged_is_refused_with_a_code_and_nobody_is_told() {
    let world = World::start().await;
    world.project("shop").await;
    let blog = world.project("blog").await.project;
    let events = world.count("select count(*) from events").await;
    let foreign = [
        SurrogateKey::project(blog.id).to_string(),
        format!("a-{}-production", blog.id),
        "d-01jd3k8mxv7e2q4r".to_owned(),
    ];
    let cases = [
        (json!({}), "nothing_to_purge"),
        (json!({"all": false, "soft": true}), "nothing_to_purge"),
        (json!({"keys": []}), "nothing_to_purge"),
        (json!({"urls": []}), "nothing_to_purge"),
        (json!({"all": true, "keys": ["a"]}), "several_scopes"),
        (json!({"keys": ["a"], "urls": ["https://shop.localhost/"]}), "several_scopes"),
        (json!({"keys": vec!["a"; 257]}), "too_many_purges"),
        (json!({"urls": vec!["shop.localhost"; 257]}), "too_many_purges"),
        (json!({"keys": vec!["a".repeat(1024); 65]}), "purge_too_large"),
        (json!({"keys": ["two words"]}), "invalid_key"),
        (json!({"keys": ["a,b"]}), "invalid_key"),
        (json!({"keys": [""]}), "invalid_key"),
        (json!({"keys": ["a".repeat(1025)]}), "invalid_key"),
        (json!({"keys": ["news", foreign[0]]}), "foreign_key"),
        (json!({"keys": [foreign[1]]}), "foreign_key"),
        (json!({"keys": [foreign[2]]}), "foreign_key"),
        (json!({"urls": ["/a"]}), "invalid_url"),
        (json!({"urls": ["ftp://shop.localhost/"]}), "invalid_url"),
        (json!({"urls": ["https://shop.localhost/", "https://blog.localhost/"]}), "foreign_url"),
        (json!({"urls": ["https://next--blog.localhost/"]}), "foreign_url"),
        (json!({"urls": ["https://localhost/"]}), "foreign_url"),
        (json!({"urls": ["https://www.example.com/"]}), "foreign_url"),
        (json!({"everything": true}), "unknown_field"),
        (json!({"all": "yes"}), "invalid_field"),
    ];
    for (body, code) in cases {
        let (status, answer) = post(&world, ADMIN, "shop", &body).await;
        let shown = &body.to_string()[..body.to_string().len().min(80)];
        assert_eq!((status, &answer["code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(code)), "{shown}");
    }
    let everything = json!({"all": true});
    let refused = [
        (ADMIN, "nobody", StatusCode::NOT_FOUND, "not_found"),
        (BUILDER, "shop", StatusCode::FORBIDDEN, "wrong_token_kind"),
        ("unknown", "shop", StatusCode::UNAUTHORIZED, "unauthorized"),
    ];
    for (token, project, status, code) in refused {
        let answer = post(&world, token, project, &everything).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{project}");
    }
    assert_eq!(world.count("select count(*) from events").await, events);
}

#[tokio::test]
async fn a_domain_is_purged_by_url_only_once_it_is_proven() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    let hostname: loggia_types::Hostname = "www.example.com".parse().unwrap();
    let domain = loggia_types::api::AddDomain::new(hostname);
    world.api.add_domain(&slug("shop"), &domain).await.unwrap();
    let urls = Some(vec!["https://www.example.com/".to_owned()]);
    let body = PurgeRequest { urls, ..PurgeRequest::default() };
    let error = world.api.purge(&slug("shop"), &body).await.unwrap_err();
    assert_eq!(error.code(), Some("foreign_url"));
    let client = world.database.connect().await;
    client.execute("update domains set verified_at = now()", &[]).await.unwrap();
    let answer = world.api.purge(&slug("shop"), &body).await.unwrap();
    let query = "select project_id, purge ->> 'urls' from events where position = $1";
    let position = i64::try_from(answer.position.0).unwrap();
    let row = client.query_one(query, &[&position]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (project.id.as_str(), r#"["www.example.com/"]"#));
}

/// Left by a newer api, say, that was rolled back since.
#[tokio::test]
async fn an_event_that_this_api_cannot_read_is_a_reset_and_the_stream_goes_on() {
    let world = World::start().await;
    let project = world.project("shop").await.project;
    let mut events = Box::pin(changes(world.edge.events(None).await.unwrap()));
    events.next().await.unwrap().unwrap();
    let client = world.database.connect().await;
    let publish = "select publish_event($1, '{}', '{}', '{\"prefixes\": [\"/a\"]}')";
    client.execute(publish, &[&project.id.as_str()]).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().change, Change::Reset);
    let body = PurgeRequest { all: true, ..PurgeRequest::default() };
    let answer = world.api.purge(&slug("shop"), &body).await.unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().position, answer.position);
}
