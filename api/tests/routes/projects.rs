use loggia_types::api::{ErrorBody, UpdateProject};
use loggia_types::manifest::NotFound;
use reqwest::StatusCode;

use crate::world::{ADMIN, BUILDER, World, new_project, slug};

#[tokio::test]
async fn a_project_is_created_read_changed_and_deleted() {
    let world = World::start().await;
    let created = world.project("shop").await;
    assert_eq!(created.project.url, "http://shop.localhost:8080");
    assert!(created.webhook_url.ends_with("/api/v1/webhooks/github"));
    assert!(created.webhook_secret.len() >= 32);
    world.project("blog").await;
    let listed = world.api.list_projects(None).await.unwrap();
    assert_eq!(listed.items.iter().map(|p| p.slug.as_str()).collect::<Vec<_>>(), ["shop", "blog"]);
    let change = UpdateProject {
        name: Some("The shop".into()),
        not_found: Some(NotFound::None),
        ..UpdateProject::default()
    };
    let changed = world.api.update_project(&slug("shop"), &change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.not_found), ("The shop", NotFound::None));
    assert_eq!(changed.repository_url, created.project.repository_url);
    world.api.delete_project(&slug("shop")).await.unwrap();
    assert!(world.api.find_project(&slug("shop")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slug_that_is_taken_is_refused_and_nothing_is_stored() {
    let world = World::start().await;
    world.project("shop").await;
    let error = world.api.create_project(&new_project("shop")).await.unwrap_err();
    assert_eq!(error.code(), Some("slug_taken"));
    assert_eq!(world.count("select count(*) from projects").await, 1);
}

#[tokio::test]
async fn bad_bodies_get_an_error_that_names_the_mistake() {
    let world = World::start().await;
    let cases = [
        ("not json", 400, "invalid_json", "JSON"),
        (r#"{"slug":"Bad Slug"}"#, 422, "invalid_field", "lower-case"),
        (r#"{"slug":"www"}"#, 422, "invalid_field", "reserved"),
        (r#"{"slug":"shop","colour":"red"}"#, 422, "unknown_field", "colour"),
        (r#"{"slug":"shop","repository_url":"file:///etc"}"#, 422, "invalid_field", "https"),
        (r#"{"slug":"shop","name":""}"#, 422, "invalid_name", "name"),
        (r#"{"slug":"shop","webhook_secret":"short"}"#, 422, "invalid_webhook_secret", "16"),
    ];
    for (body, status, code, word) in cases {
        let response = world
            .http
            .post(format!("{}/api/v1/projects", world.url))
            .bearer_auth(ADMIN)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), status, "{body}");
        let error: ErrorBody = response.json().await.unwrap();
        assert_eq!(error.code, code, "{body}");
        assert!(error.detail.contains(word), "{body}: {}", error.detail);
        assert!(!error.request_id.is_empty());
    }
    assert_eq!(world.count("select count(*) from projects").await, 0);
}

#[tokio::test]
async fn nothing_is_told_without_the_right_token() {
    let world = World::start().await;
    let cases = [
        ("/api/v1/projects", None, StatusCode::UNAUTHORIZED),
        ("/api/v1/projects", Some("wrong"), StatusCode::UNAUTHORIZED),
        ("/api/v1/projects", Some(BUILDER), StatusCode::FORBIDDEN),
        ("/api/v1/projects/shop", None, StatusCode::UNAUTHORIZED),
        ("/internal/v1/routes/shop.localhost", Some(ADMIN), StatusCode::FORBIDDEN),
        ("/internal/v1/events", None, StatusCode::UNAUTHORIZED),
        ("/nowhere", None, StatusCode::NOT_FOUND),
    ];
    for (path, token, expected) in cases {
        let mut request = world.http.get(format!("{}{path}", world.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{path} with {token:?}");
        assert!(response.json::<ErrorBody>().await.is_ok(), "{path} has an error body");
    }
}
