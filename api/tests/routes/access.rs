//! Who may do what.

use loggia_types::api::{CreateProject, ErrorBody, Role, TokenScope};
use reqwest::StatusCode;

use crate::world::{World, new_project, slug};

#[tokio::test]
async fn what_is_not_yours_looks_like_what_is_not_there() {
    let world = World::start().await;
    let (anna, ben) = (world.person("anna").await, world.person("ben").await);
    anna.api.create_project(&new_project("shop")).await.unwrap();
    let mut told = Vec::new();
    for path in ["/api/v1/projects/shop", "/api/v1/projects/none"] {
        let url = format!("{}{path}", world.url);
        let response = world.http.get(url).bearer_auth(&ben.token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let error: ErrorBody = response.json().await.unwrap();
        told.push((error.code, error.kind, error.detail.replace("none", "shop")));
    }
    assert_eq!(told[0], told[1]);
    assert!(ben.api.list_projects(None).await.unwrap().items.is_empty());
    assert_eq!(anna.api.list_projects(None).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_project_goes_where_its_maker_may_make_one() {
    let world = World::start().await;
    let (anna, ben) = (world.person("anna").await, world.person("ben").await);
    let own = anna.api.create_project(&new_project("shop")).await.unwrap();
    assert_eq!(own.project.organization.as_str(), "anna");
    let of_anna = CreateProject { organization: Some("anna".parse().unwrap()), ..new_project("blog") };
    assert_eq!(ben.api.create_project(&of_anna).await.unwrap_err().code(), Some("not_found"));
    world.join(&ben, "anna", Role::Developer).await;
    assert_eq!(ben.api.create_project(&of_anna).await.unwrap_err().code(), Some("role_too_low"));
    assert!(ben.api.find_project(&slug("shop")).await.unwrap().is_some());
    assert_eq!(ben.api.delete_project(&slug("shop")).await.unwrap_err().code(), Some("role_too_low"));
}

#[tokio::test]
async fn a_token_does_no_more_than_its_scope_and_its_place() {
    let world = World::start().await;
    let anna = world.person("anna").await;
    anna.api.create_project(&new_project("shop")).await.unwrap();
    anna.api.create_project(&new_project("blog")).await.unwrap();
    let client = |token: &str| loggia_client::ApiClient::new(&world.url, token);
    let read = client(&world.token(anna.user_id, TokenScope::Read, "").await);
    assert!(read.find_project(&slug("shop")).await.unwrap().is_some());
    assert_eq!(read.delete_project(&slug("shop")).await.unwrap_err().code(), Some("scope_too_narrow"));
    let here = "project_id = (select project_id from projects where slug = 'shop')";
    let here = client(&world.token(anna.user_id, TokenScope::Admin, here).await);
    assert!(here.find_project(&slug("shop")).await.unwrap().is_some());
    assert!(here.find_project(&slug("blog")).await.unwrap().is_none());
    assert_eq!(here.list_projects(None).await.unwrap().items.len(), 1);
    assert_eq!(here.create_project(&new_project("more")).await.unwrap_err().code(), Some("not_found"));
    let old = client(&world.token(anna.user_id, TokenScope::Admin, "expires_at = now()").await);
    assert_eq!(old.list_projects(None).await.unwrap_err().code(), Some("token_expired"));
}

#[tokio::test]
async fn a_change_is_written_down_with_who_and_what() {
    let world = World::start().await;
    let anna = world.person("anna").await;
    anna.api.create_project(&new_project("shop")).await.unwrap();
    anna.api.delete_project(&slug("shop")).await.unwrap();
    let query = "select action, target, actor, details -> 'before' ->> 'slug' as before, address is not null as addressed
                 from audit_log order by audit_log_id";
    let rows = world.database.connect().await.query(query, &[]).await.unwrap();
    let rows: Vec<(String, String, String, Option<String>, bool)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect();
    let actor = format!("{} (token tests)", anna.email);
    let row = |action: &str, before: Option<&str>| {
        (action.to_owned(), "shop".to_owned(), actor.clone(), before.map(str::to_owned), true)
    };
    assert_eq!(rows, [row("project.create", None), row("project.delete", Some("shop"))]);
}
