use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loggia_client::ApiClient;
use loggia_types::api::{DeploymentStatus, KeyRotation, Role};
use loggia_types::build::BuildAssignment;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::webhooks::{Push, push};
use crate::world::{ADMIN, World, slug};

const CANARY: &str = "canary-4f9c2e71-hunter2";

/// An answer as text, since what it must not hold may be anywhere in it.
async fn call(world: &World, token: &str, method: Method, path: &str, body: Option<Value>) -> (u16, String) {
    let mut request = world.http.request(method, format!("{}/api/v1{path}", world.url)).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn set(world: &World, path: &str, name: &str, body: Value) {
    let (status, answer) =
        call(world, ADMIN, Method::PUT, &format!("{path}/variables/{name}"), Some(body)).await;
    assert_eq!(status, 200, "{answer}");
}

async fn import(world: &World, path: &str, file: &str) -> (StatusCode, Value) {
    let url = format!("{}/api/v1{path}", world.url);
    let request = world.http.post(url).bearer_auth(ADMIN).header("content-type", "text/plain");
    let response = request.body(file.to_owned()).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn build(world: &World, branch: &str, commit: char) -> BuildAssignment {
    queue(world, branch, commit).await;
    world.builder.claim("tests", Duration::ZERO).await.unwrap().expect("a build waits")
}

async fn queue(world: &World, branch: &str, commit: char) {
    let secret = "select webhook_secret from projects where slug = 'shop'";
    let secret: String = world.database.connect().await.query_one(secret, &[]).await.unwrap().get(0);
    let delivery = format!("{branch}-{commit}");
    push(world, "shop", &secret, &Push { delivery: &delivery, branch, before: '0', after: commit }).await;
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_secret_is_told_to_builds_and_to_nobody_else() {
    let world = World::start().await;
    world.project("shop").await;
    let variables = "/projects/shop/variables";
    let body = json!({"name": "API_KEY", "value": CANARY, "secret": true});
    let mut answers = vec![call(&world, ADMIN, Method::POST, variables, Some(body.clone())).await];
    assert_eq!(answers[0].0, 201, "{answers:?}");
    let again = call(&world, ADMIN, Method::POST, variables, Some(body)).await;
    assert!(again.0 == 409 && again.1.contains("variable_exists"), "{again:?}");
    answers.push(again);
    // It stays a secret when only the value is replaced.
    let body = json!({"value": format!("{CANARY}-2")});
    let put = call(&world, ADMIN, Method::PUT, &format!("{variables}/API_KEY"), Some(body)).await;
    assert_eq!((put.0, &json(&put.1)["secret"], &json(&put.1)["value"]), (200, &json!(true), &Value::Null));
    answers.push(put);
    for path in ["", "/export", "/effective?context=production", "/effective?context=preview&trusted=false"] {
        let got = call(&world, ADMIN, Method::GET, &format!("{variables}{path}"), None).await;
        assert!(got.0 == 200 && got.1.contains("API_KEY"), "{path}: {got:?}");
        answers.push(got);
    }
    // In the wrong place it is not repeated either.
    for body in [
        json!({"name": "A", "value": "x", "secret": CANARY}),
        json!({"name": CANARY, "value": "x"}),
        json!({"name": "A", "value": [CANARY]}),
        json!({"name": "A", "value": "x", "context": {"a": CANARY}}),
    ] {
        let refused = call(&world, ADMIN, Method::POST, variables, Some(body)).await;
        assert_eq!(refused.0, 422, "{refused:?}");
        answers.push(refused);
    }
    let build = build(&world, "main", 'a').await;
    assert_eq!(build.env.get("API_KEY").map(String::as_str), Some(&*format!("{CANARY}-2")));
    assert!(build.secret_names.contains("API_KEY") && build.withheld_names.is_empty());
    assert!(answers.iter().all(|(_, text)| !text.contains("hunter2")), "{answers:?}");

    let rows = "select (select string_agg(v::text, ' ') from environment_variables v)
                    || (select string_agg(a::text, ' ') from audit_log a)";
    let rows: String = world.database.connect().await.query_one(rows, &[]).await.unwrap().get(0);
    assert!(rows.contains("API_KEY") && rows.contains("variable.set"), "{rows}");
    assert!(!rows.contains("hunter2"), "{rows}");
    let (status, _) = call(&world, ADMIN, Method::DELETE, &format!("{variables}/API_KEY"), None).await;
    let (gone, _) = call(&world, ADMIN, Method::DELETE, &format!("{variables}/API_KEY"), None).await;
    assert_eq!((status, gone), (204, 404));
}

#[tokio::test]
async fn builds_get_what_is_set_for_them_and_code_from_outside_no_secrets() {
    let world = World::start().await;
    world.project("shop").await;
    let organization = "/organizations/default";
    set(&world, "/platform", "EVERYWHERE", json!({"value": "platform"})).await;
    set(&world, "/platform", "WHO", json!({"value": "platform"})).await;
    set(&world, organization, "WHO", json!({"value": "organization", "context": "production"})).await;
    set(&world, organization, "TOKEN", json!({"value": "of-all-projects", "secret": true})).await;
    set(&world, "/projects/shop", "WHERE", json!({"value": "anywhere"})).await;
    set(&world, "/projects/shop", "WHERE", json!({"value": "a preview", "context": "preview"})).await;
    set(&world, "/projects/shop", "WHERE", json!({"value": "next", "context": "branch:next"})).await;
    world.project("blog").await;
    set(&world, "/projects/blog", "OF_ANOTHER", json!({"value": "x"})).await;

    let shown = |build: &BuildAssignment| {
        let pairs: Vec<String> = build.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    };
    let production = build(&world, "main", 'a').await;
    assert_eq!(
        shown(&production),
        "EVERYWHERE=platform TOKEN=of-all-projects WHERE=anywhere WHO=organization"
    );
    let branch = build(&world, "next", 'b').await;
    assert_eq!(shown(&branch), "EVERYWHERE=platform TOKEN=of-all-projects WHERE=next WHO=platform");

    queue(&world, "next", 'c').await;
    let outside = "update deployments set is_trusted = false where commit_sha = repeat('c', 40)";
    world.database.connect().await.execute(outside, &[]).await.unwrap();
    let fork = world.builder.claim("tests", Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(shown(&fork), "EVERYWHERE=platform WHERE=a preview WHO=platform");
    assert_eq!(fork.withheld_names.iter().collect::<Vec<_>>(), ["TOKEN"]);
    assert!(fork.secret_names.is_empty());

    let path = "/projects/shop/variables/effective?context=production";
    let effective = json(&call(&world, ADMIN, Method::GET, path, None).await.1);
    let who = effective.as_array().unwrap().iter().find(|variable| variable["name"] == "WHO").unwrap();
    assert_eq!(who["value"], "organization");
    assert_eq!(who["origin"], json!({"scope": "organization", "context": "production"}));
    assert_eq!(who["overrides"], json!([{"scope": "platform", "context": "all"}]));
}

#[tokio::test]
async fn viewers_see_names_and_developers_see_plain_values() {
    let world = World::start().await;
    world.project("shop").await;
    set(&world, "/projects/shop", "API_URL", json!({"value": "https://api.internal"})).await;
    for (name, role, value, export) in [
        ("vera", Role::Viewer, Value::Null, 403),
        ("dora", Role::Developer, json!("https://api.internal"), 200),
    ] {
        let person = world.person(name).await;
        world.join(&person, "default", role).await;
        let (_, list) = call(&world, &person.token, Method::GET, "/projects/shop/variables", None).await;
        assert_eq!(
            (&json(&list)["items"][0]["name"], &json(&list)["items"][0]["value"]),
            (&json!("API_URL"), &value)
        );
        let path = "/projects/shop/variables/effective?context=preview";
        let (_, effective) = call(&world, &person.token, Method::GET, path, None).await;
        assert_eq!(json(&effective)[0]["value"], value);
        let path = "/projects/shop/variables/export";
        assert_eq!(call(&world, &person.token, Method::GET, path, None).await.0, export);
    }
}

#[tokio::test]
async fn an_env_file_is_imported_whole_or_not_at_all_and_exported_without_secrets() {
    let world = World::start().await;
    world.project("shop").await;
    let path = "/projects/shop/variables";
    set(&world, "/projects/shop", "TOKEN", json!({"value": "first-secret", "secret": true})).await;
    let file = "# of the shop\nexport API_URL=https://api.example.org # the real one\nGREETING=\"it's\na day\"\nTOKEN=second-secret\n";
    let expected = json!({"created": ["API_URL", "GREETING"], "replaced": ["TOKEN"], "dry_run": true});
    let (status, tried) = import(&world, &format!("{path}/import?dry_run=true"), file).await;
    assert_eq!((status, &tried), (StatusCode::OK, &expected));
    assert_eq!(world.count("select count(*) from environment_variables").await, 1);

    for (bad, words) in [
        (
            "A=1\nB=hunter2 'x\nPATH=/bin\nC\n",
            "line 3: PATH cannot be set: the platform sets it to where the build's tools and folders are; change it in the build command; line 4: expected NAME=value",
        ),
        ("A=1\nA=hunter2", "line 2: A stands here again, after line 1"),
    ] {
        let (status, refused) = import(&world, &format!("{path}/import"), bad).await;
        assert_eq!((status.as_u16(), &refused["code"]), (422, &json!("invalid_env_file")));
        assert_eq!(refused["detail"], words);
    }
    let many = (0..501).fold(String::new(), |mut text, n| {
        writeln!(text, "V{n}=x").unwrap();
        text
    });
    let (_, refused) = import(&world, &format!("{path}/import"), &many).await;
    assert_eq!(refused["code"], "too_many_variables");
    let large = (0..5).fold(String::new(), |mut text, n| {
        writeln!(text, "V{n}={}", "x".repeat(60_000)).unwrap();
        text
    });
    let (_, refused) = import(&world, &format!("{path}/import"), &large).await;
    assert_eq!(refused["code"], "variables_too_large");
    let (_, refused) = import(&world, &format!("{path}/import?secret=true"), "A=abc").await;
    assert_eq!(refused["code"], "secret_too_short");
    assert_eq!(world.count("select count(*) from environment_variables").await, 1, "all or nothing");

    let (_, done) = import(&world, &format!("{path}/import"), file).await;
    assert_eq!(done["dry_run"], false);
    let (_, exported) = call(&world, ADMIN, Method::GET, &format!("{path}/export"), None).await;
    assert_eq!(
        exported,
        "API_URL=https://api.example.org\nGREETING=\"it's\\na day\"\n# TOKEN is a secret.\n"
    );
    let build = build(&world, "main", 'a').await;
    assert_eq!(build.env.get("TOKEN").map(String::as_str), Some("second-secret"));
    assert!(build.secret_names.contains("TOKEN"), "an import makes no secret plain");
    let (status, _) = call(&world, ADMIN, Method::POST, &format!("{path}/import"), Some(json!({}))).await;
    assert_eq!(status, 415);
}

#[tokio::test]
async fn a_secret_that_cannot_be_opened_fails_its_build_and_holds_up_no_other() {
    let mut world = World::start().await;
    world.project("shop").await;
    set(&world, "/projects/shop", "ONE", json!({"value": "the-first", "secret": true})).await;
    set(&world, "/projects/shop", "TWO", json!({"value": "the-second", "secret": true})).await;
    let path = "/projects/shop/variables";
    let client = world.database.connect().await;
    let fails = async |world: &World, commit, words: &[&str]| {
        queue(world, "main", commit).await;
        assert!(world.builder.claim("tests", Duration::ZERO).await.unwrap().is_none());
        let newest = world.api.list_deployments(&slug("shop"), None).await.unwrap().items.remove(0);
        assert_eq!(newest.status, DeploymentStatus::Failed);
        let reason = newest.failure.unwrap().reason;
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        assert!(!reason.contains("the-first") && !reason.contains("the-second"), "{reason}");
    };
    // Moved to another row, as somebody could who can write to the database.
    let swap = "update environment_variables a set sealed = b.sealed from environment_variables b where a.name <> b.name";
    assert_eq!(client.execute(swap, &[]).await.unwrap(), 2);
    fails(&world, 'a', &["The secret ONE (project variable for all)", "belongs to another place"]).await;
    assert_eq!(client.execute(swap, &[]).await.unwrap(), 2);
    build(&world, "main", 'b').await;

    world.restart_with(|config| config.secrets = format!("other:{}", "b2".repeat(32)).parse().unwrap()).await;
    fails(&world, 'c', &["the key tests", "LOGGIA_SECRETS_KEYS"]).await;
    let keys = json(&call(&world, ADMIN, Method::GET, "/platform/keys", None).await.1);
    let expected = json!([
        {"id": "other", "active": true, "known": true, "secrets": 0},
        {"id": "tests", "active": false, "known": false, "secrets": 2},
    ]);
    assert_eq!(keys, expected);
    let rotation = world.api.rotate_keys().await.unwrap();
    assert_eq!((rotation.resealed, rotation.remaining, rotation.unreadable), (0, 0, 2));
    // Setting them anew helps, as it says.
    let anew = Some(json!({"value": "the-third"}));
    for name in ["ONE", "TWO"] {
        assert_eq!(call(&world, ADMIN, Method::PUT, &format!("{path}/{name}"), anew.clone()).await.0, 200);
    }
    let build = build(&world, "main", 'd').await;
    assert_eq!(build.env.get("ONE").map(String::as_str), Some("the-third"));
}

#[tokio::test]
async fn secrets_are_sealed_anew_while_others_are_set() {
    let mut world = World::start().await;
    world.project("shop").await;
    let file = (0..400).fold(String::new(), |mut text, n| {
        writeln!(text, "V{n}=secret-{n}").unwrap();
        text
    });
    import(&world, "/projects/shop/variables/import?secret=true", &file).await;
    import(&world, "/platform/variables/import?secret=true&context=production", "P=of-the-platform").await;
    import(&world, "/organizations/default/variables/import?secret=true", "O=of-the-organization").await;
    let before: BTreeMap<String, String> = build(&world, "main", 'a').await.env.0;
    assert_eq!(before.len(), 402);
    let ring = format!("new:{},tests:{}", "b2".repeat(32), "a1".repeat(32));
    world.restart_with(|config| config.secrets = ring.parse().unwrap()).await;

    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write_until(stop.clone(), world.url.clone(), world.http.clone()));
    let rotations = rotate(&world.api).await;
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    let resealed: u64 = rotations.iter().map(|rotation| rotation.resealed).sum();
    assert!((300..=402).contains(&resealed) && written > 0, "{rotations:?}, {written} set meanwhile");

    let keys = world.api.list_keys().await.unwrap();
    let keys: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.active, key.secrets)).collect();
    assert_eq!(keys, [("new", true, 402), ("tests", false, 0)]);
    let ring = format!("new:{}", "b2".repeat(32));
    world.restart_with(|config| config.secrets = ring.parse().unwrap()).await;
    let after = build(&world, "main", 'b').await.env.0;
    assert_eq!(after.len(), before.len());
    for (name, value) in &after {
        let set_meanwhile = value.strip_suffix("-set-meanwhile") == Some(name);
        assert!(before.get(name) == Some(value) || set_meanwhile, "{name}={value}");
    }
}

async fn rotate(api: &ApiClient) -> Vec<KeyRotation> {
    let mut rotations = Vec::new();
    while rotations.last().is_none_or(|last: &KeyRotation| last.remaining > 0) {
        rotations.push(api.rotate_keys().await.unwrap());
        assert!(rotations.len() < 100, "it ends: {rotations:?}");
    }
    rotations
}

/// Sets variables, some that are there and with them the same ones again, until it is told to stop.
async fn write_until(stop: Arc<AtomicBool>, url: String, http: reqwest::Client) -> u32 {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) || written == 0 {
        let name = format!("V{}", (written * 7) % 100);
        let body = json!({"value": format!("{name}-set-meanwhile"), "secret": true});
        let request = http.put(format!("{url}/api/v1/projects/shop/variables/{name}")).bearer_auth(ADMIN);
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        written += 1;
    }
    written
}
