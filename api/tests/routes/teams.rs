//! Organizations, who belongs to them, their tokens, and what is written down.

use loggia_types::api::{AuditEntry, Page, Role, TokenScope};
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::world::{ADMIN, Person, World, new_project};

/// A call with somebody's token: the status, and the answer's JSON or null.
async fn call(world: &World, token: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = world.http.request(method, format!("{}/api/v1{path}", world.url)).bearer_auth(token);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

/// An organization `acme` with a person for each role.
async fn acme(world: &World) -> [Person; 4] {
    let owner = world.person("olga").await;
    let made =
        call(world, &owner.token, "POST", "/organizations", json!({"slug": "acme", "name": "Acme"})).await;
    assert_eq!((made.0, &made.1["role"]), (201, &json!("owner")));
    let (admin, developer, viewer) =
        (world.person("adam").await, world.person("dora").await, world.person("vera").await);
    world.join(&admin, "acme", Role::Admin).await;
    world.join(&developer, "acme", Role::Developer).await;
    world.join(&viewer, "acme", Role::Viewer).await;
    [owner, admin, developer, viewer]
}

/// The token of the last mail to somebody.
async fn mailed_token(world: &World, recipient: &str) -> String {
    let query = "select text_body from mail_outbox where recipient = $1 order by mail_id desc limit 1";
    let body: String = world.database.connect().await.query_one(query, &[&recipient]).await.unwrap().get(0);
    let link = body.lines().find(|line| line.starts_with("http")).unwrap();
    link.split_once('#').unwrap().1.to_owned()
}

async fn world() -> World {
    let unreachable = loggia_runtime::Secret::new("smtp://127.0.0.1:1?tls=opportunistic");
    World::start_with(|config| config.mail.way = loggia_api::MailWay::Smtp(unreachable)).await
}

#[tokio::test]
async fn owners_are_made_by_owners_and_one_always_stays() {
    let world = World::start().await;
    let [owner, admin, developer, viewer] = acme(&world).await;
    let set = async |by: &Person, who: &Person, role: &str| {
        let path = format!("/organizations/acme/members/{}", who.user_id);
        call(&world, &by.token, "PATCH", &path, json!({"role": role})).await
    };
    let remove = async |by: &Person, who: &Person| {
        let path = format!("/organizations/acme/members/{}", who.user_id);
        call(&world, &by.token, "DELETE", &path, Value::Null).await
    };
    assert_eq!(set(&admin, &viewer, "developer").await.0, 204);
    assert_eq!(code(&set(&admin, &viewer, "owner").await), (403, "owners_only"));
    assert_eq!(code(&set(&admin, &owner, "viewer").await), (403, "owners_only"));
    assert_eq!(code(&set(&developer, &viewer, "viewer").await), (403, "role_too_low"));
    assert_eq!(code(&set(&owner, &owner, "viewer").await), (409, "last_owner"));
    assert_eq!(code(&remove(&owner, &owner).await), (409, "last_owner"));
    assert_eq!(code(&remove(&developer, &viewer).await), (403, "role_too_low"));
    assert_eq!(remove(&viewer, &viewer).await.0, 204, "everybody may leave");
    assert_eq!(
        code(&call(&world, &viewer.token, "GET", "/organizations/acme", Value::Null).await),
        (404, "not_found")
    );
    // Two owners who leave at once: one stays.
    assert_eq!(set(&owner, &admin, "owner").await.0, 204);
    let (one, two) = tokio::join!(remove(&owner, &owner), remove(&admin, &admin));
    let mut codes = [code(&one), code(&two)];
    codes.sort_unstable();
    assert_eq!(codes, [(204, ""), (409, "last_owner")]);
}

#[tokio::test]
async fn an_organization_ends_once_it_is_empty_and_a_personal_one_never() {
    let world = World::start().await;
    let [owner, ..] = acme(&world).await;
    let project = json!({"slug": "shop", "organization": "acme"});
    assert_eq!(call(&world, &owner.token, "POST", "/projects", project).await.0, 201);
    let end = async |slug: &str| {
        call(&world, &owner.token, "DELETE", &format!("/organizations/{slug}"), Value::Null).await
    };
    assert_eq!(code(&end("acme").await), (409, "organization_has_projects"));
    assert_eq!(code(&end("olga").await), (409, "personal_organization"));
    let renamed =
        call(&world, &owner.token, "PATCH", "/organizations/acme", json!({"slug": "acme-inc"})).await;
    assert_eq!((renamed.0, &renamed.1["name"]), (200, &json!("Acme")));
    let taken = call(&world, &owner.token, "PATCH", "/organizations/acme-inc", json!({"slug": "olga"})).await;
    assert_eq!((code(&taken), &taken.1["field"]), ((409, "slug_taken"), &json!("slug")));
}

#[tokio::test]
async fn an_invitation_is_for_one_address_once() {
    let world = world().await;
    let [_, admin, ..] = acme(&world).await;
    let invite = async |email: &str, role: &str| {
        let body = json!({"email": email, "role": role});
        call(&world, &admin.token, "POST", "/organizations/acme/invitations", body).await
    };
    assert_eq!(code(&invite("new@example.org", "owner").await), (422, "role_too_high"));
    assert_eq!(code(&invite("dora@example.org", "viewer").await), (409, "member_already"));
    assert_eq!(invite("new@example.org", "viewer").await.0, 201);
    let first = mailed_token(&world, "new@example.org").await;
    assert_eq!(invite("new@example.org", "developer").await.0, 201);
    let second = mailed_token(&world, "new@example.org").await;
    let listed = call(&world, &admin.token, "GET", "/organizations/acme/invitations", Value::Null).await;
    assert_eq!(listed.1.as_array().unwrap().len(), 1);

    let browser = Browser::new(&world);
    let preview =
        async |token: &str| browser.post("/api/v1/invitations/preview", &json!({"token": token})).await;
    assert_eq!(code(&preview(&first).await), (410, "link_over"), "the second took its place");
    let seen = preview(&second).await.1;
    let expected =
        json!({"organization": "Acme", "role": "developer", "email": "n…@example.org", "has_account": false});
    assert_eq!(seen, expected);
    // Nobody else's.
    let stranger = world.person("stranger").await;
    let stolen = call(&world, &stranger.token, "POST", "/invitations/accept", json!({"token": second})).await;
    assert_eq!(code(&stolen), (403, "another_address"));
    let body = json!({"token": second, "name": "Nina", "password": "correct horse battery"});
    let (one, other) = (Browser::new(&world), Browser::new(&world));
    let (a, b) = tokio::join!(
        one.post("/api/v1/invitations/accept-new", &body),
        other.post("/api/v1/invitations/accept-new", &body)
    );
    let mut statuses = [a.0, b.0];
    statuses.sort_unstable();
    assert!(statuses == [201, 409] || statuses == [201, 410], "{statuses:?}");
    let nina = if a.0 == 201 { one } else { other };
    let who = nina.get("/api/v1/user").await.1;
    let roles: Vec<_> =
        who["organizations"].as_array().unwrap().iter().map(|o| (&o["slug"], &o["role"])).collect();
    assert_eq!(roles, [(&json!("new"), &json!("owner")), (&json!("acme"), &json!("developer"))]);
    assert_eq!(code(&preview(&second).await), (410, "link_over"));

    // Who has an account accepts with it; and what was revoked, or is old, is over.
    assert_eq!(invite("stranger@example.org", "viewer").await.0, 201);
    let token = mailed_token(&world, "stranger@example.org").await;
    let accepted =
        call(&world, &stranger.token, "POST", "/invitations/accept", json!({"token": token})).await;
    assert_eq!(accepted.0, 200);
    let invited = invite("late@example.org", "viewer").await.1;
    let token = mailed_token(&world, "late@example.org").await;
    let path = format!("/organizations/acme/invitations/{}", invited["id"].as_str().unwrap());
    assert_eq!(call(&world, &admin.token, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(code(&preview(&token).await), (410, "link_over"));
    assert_eq!(invite("late@example.org", "viewer").await.0, 201);
    let token = mailed_token(&world, "late@example.org").await;
    world.database.connect().await.batch_execute("update invitations set expires_at = now()").await.unwrap();
    assert_eq!(code(&preview(&token).await), (410, "link_over"));
}

#[tokio::test]
async fn a_token_is_shown_once_and_makes_no_wider_one() {
    let world = World::start().await;
    let [owner, ..] = acme(&world).await;
    let project = json!({"slug": "shop", "organization": "acme"});
    call(&world, &owner.token, "POST", "/projects", project).await;
    let make = async |token: &str, body: Value| call(&world, token, "POST", "/user/tokens", body).await;
    let made = make(&owner.token, json!({"name": "ci", "scope": "deploy", "project": "shop"})).await;
    let token = made.1["token"].as_str().unwrap();
    assert!(
        made.0 == 201
            && token.starts_with("loggia_user_")
            && token.ends_with(made.1["hint"].as_str().unwrap())
    );
    assert!(made.1["expires_at"].is_string());
    let stored = "select string_agg(encode(token_hash, 'escape'), '') from api_tokens";
    let stored: String = world.database.connect().await.query_one(stored, &[]).await.unwrap().get(0);
    assert!(!stored.contains(token));
    assert_eq!(call(&world, token, "GET", "/projects/shop", Value::Null).await.0, 200);
    let listed = call(&world, &owner.token, "GET", "/user/tokens", Value::Null).await.1;
    let first = &listed[0];
    assert_eq!(
        (&first["name"], &first["project"], &first["token"]),
        (&json!("ci"), &json!("shop"), &Value::Null)
    );
    assert!(first["last_used_at"].is_string());
    assert_eq!(code(&make(token, json!({"name": "x", "scope": "admin"})).await), (403, "scope_too_narrow"));
    let narrow = make(&owner.token, json!({"name": "n", "scope": "admin", "organization": "acme"})).await;
    let narrow = narrow.1["token"].as_str().unwrap();
    assert_eq!(code(&make(narrow, json!({"name": "x", "scope": "read"})).await), (403, "token_too_narrow"));
    for (body, field) in [
        (json!({"name": "", "scope": "read"}), "name"),
        (json!({"name": "x", "scope": "read", "days": 0}), "days"),
        (json!({"name": "x", "scope": "read", "days": 367}), "days"),
        (json!({"name": "x", "scope": "read", "days": 5, "forever": true}), "forever"),
        (json!({"name": "x", "scope": "write"}), "scope"),
        (json!({"name": "x", "scope": "read", "organization": "olga", "project": "shop"}), "project"),
    ] {
        let refused = make(&owner.token, body.clone()).await;
        assert_eq!((refused.0, &refused.1["field"]), (422, &json!(field)), "{body}");
    }
    assert_eq!(
        make(&owner.token, json!({"name": "x", "scope": "read", "forever": true})).await.1["expires_at"],
        Value::Null
    );
    let path = format!("/user/tokens/{}", made.1["id"].as_str().unwrap());
    assert_eq!(call(&world, &owner.token, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(call(&world, token, "GET", "/projects/shop", Value::Null).await.0, 401);
}

#[tokio::test]
async fn a_collaborator_sees_one_project_and_nothing_around_it() {
    let world = World::start().await;
    let [_, admin, ..] = acme(&world).await;
    for slug in ["shop", "blog"] {
        call(&world, ADMIN, "POST", "/projects", json!({"slug": slug, "organization": "acme"})).await;
    }
    let cleo = world.person("cleo").await;
    let set = async |role: &str, email: &str| {
        let body = json!({"email": email, "role": role});
        call(&world, &admin.token, "PUT", "/projects/shop/collaborators", body).await
    };
    assert_eq!(code(&set("owner", "cleo@example.org").await), (422, "role_too_high"));
    assert_eq!(code(&set("viewer", "who@example.org").await), (422, "unknown_person"));
    assert_eq!(set("developer", "cleo@example.org").await.0, 204);
    let sees = async |path: &str| call(&world, &cleo.token, "GET", path, Value::Null).await.0;
    assert_eq!(
        (sees("/projects/shop").await, sees("/projects/blog").await, sees("/organizations/acme").await),
        (200, 404, 404)
    );
    assert_eq!(
        code(&call(&world, &cleo.token, "PATCH", "/projects/shop", json!({"name": "x"})).await),
        (403, "role_too_low")
    );
    let path = format!("/projects/shop/collaborators/{}", cleo.user_id);
    assert_eq!(call(&world, &cleo.token, "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(sees("/projects/shop").await, 404);
}

#[tokio::test]
async fn what_was_changed_is_found_by_who_may_and_taken_away_as_a_table() {
    let world = World::start().await;
    let [owner, admin, developer, _] = acme(&world).await;
    call(
        &world,
        &owner.token,
        "POST",
        "/projects",
        json!({"slug": "shop", "name": "=1+1", "organization": "acme"}),
    )
    .await;
    call(&world, &admin.token, "PATCH", "/projects/shop", json!({"name": "Shop, \"new\""})).await;
    call(
        &world,
        &owner.token,
        "POST",
        "/user/tokens",
        json!({"name": "ci", "scope": "read", "project": "shop"}),
    )
    .await;
    let get = async |token: &str, path: &str| call(&world, token, "GET", path, Value::Null).await;
    assert_eq!(code(&get(&developer.token, "/projects/shop/audit").await), (403, "role_too_low"));
    let page = get(&admin.token, "/organizations/acme/audit").await.1;
    let page: Page<AuditEntry> = serde_json::from_value(page).unwrap();
    let actions: Vec<_> =
        page.items.iter().map(|entry| (entry.action.as_str(), entry.target.as_str())).collect();
    assert_eq!(
        actions,
        [
            ("token.create", "ci"),
            ("project.update", "shop"),
            ("project.create", "shop"),
            ("organization.create", "acme")
        ]
    );
    let update = &page.items[1];
    assert_eq!((&update.before["name"], &update.after["name"]), (&json!("=1+1"), &json!("Shop, \"new\"")));
    assert!(
        update.actor.starts_with("adam@example.org")
            && update.address.is_some()
            && !update.request_id.is_empty()
    );
    let of = async |query: &str| {
        let path = format!("/organizations/acme/audit?{query}");
        get(&admin.token, &path).await.1["items"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        (of("action=project.").await, of("actor=olga").await, of("until=2020-01-01T00:00:00Z").await),
        (2, 3, 0)
    );
    assert_eq!(get(&admin.token, "/projects/shop/audit").await.1["items"].as_array().unwrap().len(), 3);
    assert_eq!(code(&get(&admin.token, "/audit").await), (403, "operators_only"));
    assert_eq!(code(&get(&admin.token, "/organizations/acme/audit?acton=x").await), (422, "unknown_field"));
    let url = format!("{}/api/v1/audit?format=csv", world.url);
    let csv = world.http.get(url).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    let csv = csv.text().await.unwrap();
    assert!(
        csv.starts_with("id,happened_at,actor,action,target,before,after,address,request_id\r\n"),
        "{csv}"
    );
    assert!(csv.lines().count() >= 5 && csv.contains("project.update"), "{csv}");
    let url = format!("{}/api/v1/audit?format=ndjson", world.url);
    let lines = world.http.get(url).bearer_auth(ADMIN).send().await.unwrap().text().await.unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<AuditEntry>(line).is_ok()));
}

#[tokio::test]
async fn a_person_makes_projects_in_their_own_organization() {
    let world = World::start().await;
    let anna = world.person("anna").await;
    anna.api.create_project(&new_project("shop")).await.unwrap();
    let listed = call(&world, &anna.token, "GET", "/organizations", Value::Null).await.1;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["is_personal"]), (1, &json!(true)));
    let all = call(&world, ADMIN, "GET", "/organizations", Value::Null).await.1;
    assert_eq!(all.as_array().unwrap().len(), 2, "operators see all");
    let read = world.token(anna.user_id, TokenScope::Read, "").await;
    assert_eq!(call(&world, &read, "GET", "/user", Value::Null).await.1["scope"], "read");
}
