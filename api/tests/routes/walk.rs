//! Every route × everybody who may come: compared with one table, `access.txt`, which is read like a contract.
//!
//! The routes are those of the OpenAPI document, and the internal ones. `LOGGIA_UPDATE=1` writes the table anew; what
//! changed in it is what changed in who may do what.

use std::fmt::Write;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio_postgres::Client;

use crate::world::{ADMIN, BUILDER, EDGE, World};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/routes/access.txt");

const INTERNAL: [(&str, &str); 6] = [
    ("POST", "/internal/v1/builds/claim"),
    ("POST", "/internal/v1/builds/{id}/heartbeat"),
    ("POST", "/internal/v1/builds/{id}/log"),
    ("POST", "/internal/v1/builds/{id}/report"),
    ("GET", "/internal/v1/events"),
    ("GET", "/internal/v1/routes/{hostname}"),
];

/// Who comes: a column of the table, and what they show.
const CALLERS: [(&str, Shown); 14] = [
    ("anonymous", Shown::Nothing),
    ("expired", Shown::Token("token-of-expired")),
    ("stranger", Shown::Token("token-of-stranger")),
    ("viewer", Shown::Token("token-of-viewer")),
    ("developer", Shown::Token("token-of-developer")),
    ("admin", Shown::Token("token-of-admin")),
    ("owner", Shown::Token("token-of-owner")),
    // The owner's: in a browser, and tokens that may do less.
    ("browser", Shown::Session("session-of-owner")),
    ("reading", Shown::Token("token-of-reading")),
    ("deploying", Shown::Token("token-of-deploying")),
    ("elsewhere", Shown::Token("token-of-elsewhere")),
    ("operator", Shown::Token(ADMIN)),
    ("builder", Shown::Token(BUILDER)),
    ("edge", Shown::Token(EDGE)),
];

#[derive(Clone, Copy)]
enum Shown {
    Nothing,
    Token(&'static str),
    Session(&'static str),
}

#[tokio::test]
async fn every_route_is_open_to_whom_the_table_says_and_to_nobody_else() {
    let world = World::start().await;
    let database = world.database.connect().await;
    let mut table = heading();
    for (method, path) in routes(&world).await {
        write!(table, "{:<75}", format!("{method:<6} {path}")).unwrap();
        for (_, shown) in CALLERS {
            // Some routes end what the next caller comes for.
            lay_out(&database).await;
            write!(table, " {:<9}", outcome(&world, &method, &path, shown).await).unwrap();
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    if std::env::var_os("LOGGIA_UPDATE").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    let wanted = std::fs::read_to_string(TABLE).unwrap();
    let pairs: Vec<_> = table.lines().filter(|line| !wanted.lines().any(|other| other == *line)).collect();
    assert!(table == wanted, "not as in {TABLE}; these lines are new or changed:\n{}", pairs.join("\n"));
}

fn heading() -> String {
    let mut text = String::from(
        "# Who may call what. ok: the call is looked at; 401: say who you are; 403: you see it and may not; 404: it looks as
# if it were not there. The project shop belongs to the organization acme; elsewhere is the owner's token for another
# project. The test `walk` compares; LOGGIA_UPDATE=1 writes this file anew.\n\n",
    );
    write!(text, "{:<75}", "").unwrap();
    for (name, _) in CALLERS {
        write!(text, " {name:<9}").unwrap();
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

async fn routes(world: &World) -> Vec<(String, String)> {
    let url = format!("{}/api/openapi.json", world.url);
    let document: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    let mut routes: Vec<(String, String)> = INTERNAL.map(|(m, p)| (m.to_owned(), p.to_owned())).into();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "delete", "patch"] {
            if item.get(method).is_some() {
                routes.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    routes.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
    routes
}

async fn outcome(world: &World, method: &str, path: &str, shown: Shown) -> &'static str {
    let filled = path
        .replace("{slug}", "shop")
        .replace("{organization}", "acme")
        .replace("{hostname}", "shop.localhost")
        .replace("{hash}", &"0".repeat(64));
    // What else there is: an id, or a name, of what is not there.
    let mut url = world.url.clone();
    for segment in filled.split('/').skip(1) {
        url.push('/');
        url.push_str(if segment.starts_with('{') { "0000000000000000" } else { segment });
    }
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = show(world.http.request(method.clone(), url), shown, world);
    if method != Method::GET && method != Method::DELETE {
        request = request.header("content-type", "application/json").body("{}");
    }
    // Streams answer with their head at once; what takes longer was let in.
    let Ok(response) = tokio::time::timeout(Duration::from_secs(5), request.send()).await else {
        return "ok";
    };
    let response = response.unwrap();
    let status = response.status().as_u16();
    let error: Value = if status >= 400 { response.json().await.unwrap_or_default() } else { Value::Null };
    match (status, error["code"].as_str(), error["detail"].as_str()) {
        // A route that is open to all may refuse a password or a signature with 401, too.
        (401, Some("unauthorized" | "token_expired"), _) => "401",
        (403, ..) => "403",
        (404, _, Some("there is no project shop" | "there is no organization acme")) => "404",
        (500, ..) => panic!("{method} {path}: our fault"),
        _ => "ok",
    }
}

fn show(request: RequestBuilder, shown: Shown, world: &World) -> RequestBuilder {
    match shown {
        Shown::Nothing => request,
        Shown::Token(token) => request.bearer_auth(token),
        Shown::Session(cookie) => {
            request.header("cookie", format!("__Host-loggia={cookie}")).header("origin", &world.url)
        }
    }
}

/// Puts everything back to where each caller shall find it.
async fn lay_out(database: &Client) {
    let mut sql = String::from(
        "insert into organizations (organization_id, slug, name) values ('000000000000acme', 'acme', 'Acme')
         on conflict (organization_id) do update set slug = 'acme';",
    );
    for (number, name) in ["stranger", "viewer", "developer", "admin", "owner"].into_iter().enumerate() {
        write!(
            sql,
            "insert into users (user_id, email, name) values ('000000000000000{number}', '{name}@example.org', '{name}')
             on conflict (user_id) do update set disabled_at = null, email = excluded.email;"
        )
        .unwrap();
        if name != "stranger" {
            write!(
                sql,
                "insert into members values ('000000000000acme', '000000000000000{number}', '{name}')
                 on conflict (organization_id, user_id) do update set role = '{name}';"
            )
            .unwrap();
        }
    }
    for (number, slug) in ["shop", "blog"].into_iter().enumerate() {
        write!(
            sql,
            "insert into projects (project_id, organization_id, slug, name, webhook_secret)
             values ('00000000000000p{number}', '000000000000acme', '{slug}', '{slug}', 'x')
             on conflict (project_id) do update
             set slug = '{slug}', deleted_at = null, organization_id = '000000000000acme';"
        )
        .unwrap();
    }
    let tokens = [
        ("stranger", 0, "admin", "null", "null"),
        ("viewer", 1, "admin", "null", "null"),
        ("developer", 2, "admin", "null", "null"),
        ("admin", 3, "admin", "null", "null"),
        ("owner", 4, "admin", "null", "null"),
        ("expired", 4, "admin", "null", "now()"),
        ("reading", 4, "read", "null", "null"),
        ("deploying", 4, "deploy", "null", "null"),
        ("elsewhere", 4, "admin", "'00000000000000p1'", "null"),
    ];
    for (number, (name, user, scope, project, expires)) in tokens.into_iter().enumerate() {
        write!(
            sql,
            "insert into api_tokens (api_token_id, token_hash, kind, name, scope, user_id, project_id, expires_at)
             values ('00000000000000t{number}', sha256('token-of-{name}'), 'user', '{name}', '{scope}',
                     '000000000000000{user}', {project}, {expires})
             on conflict (api_token_id) do nothing;"
        )
        .unwrap();
    }
    sql.push_str(
        "insert into sessions (session_id, token_hash, user_id, expires_at)
         values ('00000000000000s0', sha256('session-of-owner'), '0000000000000004', now() + interval '1 day')
         on conflict (session_id) do nothing;",
    );
    database.batch_execute(&sql).await.unwrap();
}
