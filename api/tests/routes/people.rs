//! People: the first one, signing in and out, second factors, forgotten passwords, new addresses.

use std::time::{Duration, Instant};

use loggia_api::SignUpMode;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::browser::{Answer, Browser};
use crate::world::{SETUP, World};

const EMAIL: &str = "anna@example.org";
const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "staple battery horse";

fn code(answer: &Answer) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

async fn set_up<'w>(world: &'w World) -> Browser<'w> {
    let browser = Browser::new(world);
    let body = json!({"token": SETUP, "email": "Anna@Example.org", "name": "Anna", "password": PASSWORD});
    let answer = browser.post("/api/v1/setup", &body).await;
    assert_eq!((answer.0, &answer.1["user"]["email"]), (201, &json!(EMAIL)), "{answer:?}");
    browser
}

async fn sign_in<'w>(world: &'w World, password: &str) -> (Browser<'w>, Answer) {
    let browser = Browser::new(world);
    let answer = browser.post("/api/v1/session", &json!({"email": EMAIL, "password": password})).await;
    (browser, answer)
}

/// The links of the mails to an address, the last one last.
async fn links(world: &World, recipient: &str, wanted: usize) -> Vec<String> {
    let client = world.database.connect().await;
    let query = "select text_body from mail_outbox where recipient = $1 order by mail_id";
    // What is sent is emptied, and these are not: nobody takes mail in this world.
    let started = Instant::now();
    loop {
        let rows = client.query(query, &[&recipient]).await.unwrap();
        let bodies = rows.iter().map(|row| row.get::<_, String>(0));
        let links: Vec<String> = bodies
            .filter_map(|body| body.lines().find(|line| line.starts_with("http")).map(str::to_owned))
            .collect();
        if links.len() >= wanted {
            return links;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{wanted} mails for {recipient}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn token(link: &str) -> &str {
    link.split_once('#').unwrap().1
}

/// A world whose mails stay in the outbox.
async fn world() -> World {
    let unreachable = loggia_runtime::Secret::new("smtp://127.0.0.1:1?tls=opportunistic");
    World::start_with(|config| config.mail.way = loggia_api::MailWay::Smtp(unreachable)).await
}

#[tokio::test]
async fn the_first_person_runs_the_installation_and_there_is_one() {
    let world = World::start().await;
    let nobody = Browser::new(&world);
    assert_eq!(nobody.get("/api/v1/setup").await.1["needed"], true);
    let body = |token: &str, password: &str| json!({"token": token, "email": EMAIL, "name": "Anna", "password": password});
    let wrong = nobody.post("/api/v1/setup", &body("guess", PASSWORD)).await;
    assert_eq!(code(&wrong), (422, "wrong_setup_token"));
    let weak = nobody.post("/api/v1/setup", &body(SETUP, "password123")).await;
    assert_eq!((code(&weak), &weak.1["field"]), ((422, "weak_password"), &json!("password")));
    // Two at once: one is the first.
    let (one, two) = (Browser::new(&world), Browser::new(&world));
    let body = |email: &str| json!({"token": SETUP, "email": email, "name": "Anna", "password": PASSWORD});
    let (body_one, body_two) = (body(EMAIL), body("ben@example.org"));
    let (a, b) = tokio::join!(one.post("/api/v1/setup", &body_one), two.post("/api/v1/setup", &body_two));
    let mut codes = [code(&a), code(&b)];
    codes.sort_unstable();
    assert_eq!(codes, [(201, ""), (409, "already_set_up")]);
    let first = if a.0 == 201 { one } else { two };
    let who = first.get("/api/v1/user").await.1;
    assert_eq!(who["user"]["is_operator"], true);
    let slugs: Vec<_> =
        who["organizations"].as_array().unwrap().iter().map(|o| (&o["role"], &o["is_personal"])).collect();
    assert_eq!(slugs, [(&json!("owner"), &json!(true)), (&json!("owner"), &json!(false))]);
    assert_eq!(nobody.get("/api/v1/setup").await.1["needed"], false);
    assert_eq!(world.count("select count(*) from users").await, 1);
}

#[tokio::test]
async fn a_session_is_made_told_ended_and_never_kept_as_it_is() {
    let world = World::start().await;
    let first = set_up(&world).await;
    let (second, answer) = sign_in(&world, PASSWORD).await;
    assert_eq!(answer.1["state"], "signed_in");
    let cookie = second.cookie().unwrap();
    let stored = "select encode(token_hash, 'escape') from sessions";
    let rows = world.database.connect().await.query(stored, &[]).await.unwrap();
    assert!(rows.iter().all(|row| !row.get::<_, String>(0).contains(&cookie)));
    let sessions = second.get("/api/v1/user/sessions").await.1;
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let other = sessions.as_array().unwrap().iter().find(|s| s["is_this_one"] == false).unwrap();
    assert_eq!((&other["user_agent"], &other["address"]), (&json!("Tests/1.0"), &json!("127.0.0.1")));
    let path = format!("/api/v1/user/sessions/{}", other["id"].as_str().unwrap());
    assert_eq!(second.delete(&path).await.0, 204);
    assert_eq!(code(&first.get("/api/v1/user").await), (401, "unauthorized"));
    assert_eq!(second.delete(&path).await.0, 404);
    // Signing in again in the same browser leaves no session behind.
    second.post("/api/v1/session", &json!({"email": EMAIL, "password": PASSWORD})).await;
    assert_ne!(second.cookie().unwrap(), cookie);
    assert_eq!(Browser::with_cookie(&world, Some(cookie)).get("/api/v1/user").await.0, 401);
    assert_eq!(second.delete("/api/v1/session").await.0, 204);
    assert_eq!(second.cookie(), None);
    assert_eq!(world.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn another_site_cannot_change_anything_with_the_cookie() {
    let world = World::start().await;
    let browser = set_up(&world).await;
    let cookie = format!("__Host-loggia={}", browser.cookie().unwrap());
    for origin in [Some("https://evil.example"), Some("http://shop.localhost:8080"), Some("null"), None] {
        let mut request = world.http.patch(format!("{}/api/v1/user", world.url)).header("cookie", &cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = request.json(&json!({"name": "Eve"})).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 403, "{origin:?}");
    }
    assert_eq!(browser.patch("/api/v1/user", &json!({"name": "Anna B"})).await.1["name"], "Anna B");
}

#[tokio::test]
async fn five_wrong_tries_slow_down_and_say_nothing_of_who_is_there() {
    let world = World::start().await;
    set_up(&world).await;
    let nobody = Browser::new(&world);
    let mut told = Vec::new();
    for email in [EMAIL, "nobody@example.org"] {
        let body = json!({"email": email, "password": "wrong wrong wrong"});
        let mut of_this = Vec::new();
        for _ in 0..6 {
            let mut answer = nobody.post("/api/v1/session", &body).await;
            answer.1["request_id"] = Value::Null;
            of_this.push(answer);
        }
        let codes: Vec<_> = of_this.iter().map(code).collect();
        assert_eq!(codes[..5], [(401, "wrong_credentials"); 5], "{email}");
        assert_eq!(codes[5], (429, "too_many_attempts"), "{email}");
        told.push(of_this);
    }
    assert_eq!(told[0], told[1], "the same bytes for an account and for none");
    // The right password has to wait, too; and then clears the count.
    assert_eq!(sign_in(&world, PASSWORD).await.1.0, 429);
    world
        .database
        .connect()
        .await
        .batch_execute("update failed_attempts set blocked_until = now()")
        .await
        .unwrap();
    assert_eq!(sign_in(&world, PASSWORD).await.1.0, 200);
    assert_eq!(sign_in(&world, "wrong wrong wrong").await.1.0, 401, "five are free again");
}

#[tokio::test]
async fn many_tries_at_once_are_no_more_than_one_after_the_other() {
    let world = World::start().await;
    set_up(&world).await;
    let tries = (0..20).map(|_| async { sign_in(&world, "wrong wrong wrong").await.1.0 });
    let mut statuses = futures::future::join_all(tries).await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
}

#[tokio::test]
async fn whether_there_is_an_account_does_not_show_in_the_time_either() {
    let world = World::start().await;
    set_up(&world).await;
    let nobody = Browser::new(&world);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..12 {
        world.database.connect().await.batch_execute("delete from failed_attempts").await.unwrap();
        for (index, email) in [EMAIL.to_owned(), format!("nobody{round}@example.org")].into_iter().enumerate()
        {
            let started = Instant::now();
            nobody.post("/api/v1/session", &json!({"email": email, "password": "wrong wrong wrong"})).await;
            times[index].push(started.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    // Without the hash for nobody the second would be ten times as fast.
    let ratio = known.as_secs_f64() / unknown.as_secs_f64();
    assert!((0.4..2.5).contains(&ratio), "{known:?} with an account, {unknown:?} without");
}

fn device(secret: &str, time_shift: i64) -> String {
    let totp = Builder::new()
        .with_secret(Secret::try_from_base32(secret).unwrap())
        .with_account_name("x")
        .build()
        .unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now.checked_add_signed(time_shift).unwrap()).to_string()
}

#[tokio::test]
async fn a_second_factor_is_begun_confirmed_asked_for_once_each_and_switched_off() {
    let world = World::start().await;
    let browser = set_up(&world).await;
    let without = browser.post("/api/v1/user/two-factor", &json!({})).await;
    assert_eq!(code(&without), (422, "password_needed"));
    let wrong = browser.post("/api/v1/user/two-factor", &json!({"current_password": "wrong wrong"})).await;
    assert_eq!(code(&wrong), (422, "wrong_password"));
    let begun = browser.post("/api/v1/user/two-factor", &json!({"current_password": PASSWORD})).await;
    let secret = begun.1["secret"].as_str().unwrap();
    assert!(begun.1["otpauth_url"].as_str().unwrap().contains(secret), "{begun:?}");
    let dump = "select string_agg(encode(sealed, 'escape'), '') from two_factors";
    let sealed: String = world.database.connect().await.query_one(dump, &[]).await.unwrap().get(0);
    assert!(!sealed.contains(secret));
    // Not in force before a code confirms it.
    assert_eq!(sign_in(&world, PASSWORD).await.1.1["state"], "signed_in");
    assert_eq!(
        code(&browser.post("/api/v1/user/two-factor/confirm", &json!({"code": "000000"})).await).0,
        422
    );
    let first = device(secret, -30);
    let confirmed = browser.post("/api/v1/user/two-factor/confirm", &json!({"code": first})).await;
    let codes: Vec<String> = serde_json::from_value(confirmed.1["recovery_codes"].clone()).unwrap();
    assert_eq!((confirmed.0, codes.len()), (200, 10));

    let (fresh, asked) = sign_in(&world, PASSWORD).await;
    assert_eq!((asked.1["state"].as_str(), fresh.cookie()), (Some("second_factor_needed"), None));
    let answer = async |challenge: &Value, code: &str| {
        let body = json!({"challenge": challenge, "code": code});
        fresh.post("/api/v1/session/second-factor", &body).await
    };
    let challenge = &asked.1["challenge"];
    assert_eq!(code(&answer(challenge, &first).await), (401, "wrong_code"), "a code is taken once");
    let next = device(secret, 0);
    assert_eq!(answer(challenge, &next).await.0, 200);
    assert!(fresh.cookie().is_some());
    assert_eq!(code(&answer(challenge, &device(secret, 30)).await), (401, "challenge_over"));
    let asked = sign_in(&world, PASSWORD).await.1;
    assert_eq!(
        code(&answer(&asked.1["challenge"], &next).await),
        (401, "wrong_code"),
        "nor by the next challenge"
    );
    // A recovery code, typed in capitals, once.
    assert_eq!(answer(&asked.1["challenge"], &codes[0].to_uppercase()).await.0, 200);
    let asked = sign_in(&world, PASSWORD).await.1;
    assert_eq!(answer(&asked.1["challenge"], &codes[0]).await.0, 401);
    // Guessing is slowed down.
    for _ in 0..4 {
        answer(&asked.1["challenge"], "123456").await;
    }
    assert_eq!(code(&answer(&asked.1["challenge"], &codes[1]).await), (429, "too_many_attempts"));
    world.database.connect().await.batch_execute("delete from failed_attempts").await.unwrap();
    assert_eq!(fresh.post("/api/v1/user/two-factor/off", &json!({"code": codes[1]})).await.0, 204);
    assert_eq!(sign_in(&world, PASSWORD).await.1.1["state"], "signed_in");
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_link_that_works_once() {
    let world = world().await;
    let signed_in = set_up(&world).await;
    let nobody = Browser::new(&world);
    let mut told = Vec::new();
    for email in [EMAIL, "nobody@example.org"] {
        told.push(nobody.post("/api/v1/password-reset", &json!({"email": email})).await);
    }
    assert_eq!((told[0].0, &told[0]), (202, &told[1]));
    let link = links(&world, EMAIL, 1).await.remove(0);
    assert!(link.starts_with(&format!("{}/reset#", world.url)), "{link}");
    let confirm = async |password: &str| {
        let body = json!({"token": token(&link), "password": password});
        nobody.post("/api/v1/password-reset/confirm", &body).await
    };
    assert_eq!(code(&confirm("short").await), (422, "weak_password"), "and the link stays good");
    let (one, two) = tokio::join!(confirm(OTHER), confirm(OTHER));
    let mut codes = [code(&one), code(&two)];
    codes.sort_unstable();
    assert_eq!(codes, [(204, ""), (410, "link_over")]);
    assert_eq!(signed_in.get("/api/v1/user").await.0, 401, "all sessions have ended");
    assert_eq!(sign_in(&world, PASSWORD).await.1.0, 401);
    assert_eq!(sign_in(&world, OTHER).await.1.0, 200);
    assert_eq!(
        world.count("select count(*) from mail_outbox where kind = 'security'").await,
        1,
        "the person is told"
    );
    // Three mails an hour for one address.
    for _ in 0..4 {
        nobody.post("/api/v1/password-reset", &json!({"email": EMAIL})).await;
    }
    links(&world, EMAIL, 4).await;
    let old = "update one_time_tokens set expires_at = now()";
    world.database.connect().await.batch_execute(old).await.unwrap();
    let late = links(&world, EMAIL, 4).await.pop().unwrap();
    let body = json!({"token": token(&late), "password": PASSWORD});
    assert_eq!(code(&nobody.post("/api/v1/password-reset/confirm", &body).await), (410, "link_over"));
}

#[tokio::test]
async fn a_password_and_an_address_are_changed_by_who_knows_the_password() {
    let world = world().await;
    let browser = set_up(&world).await;
    let (elsewhere, _) = sign_in(&world, PASSWORD).await;
    let body = json!({"current_password": PASSWORD, "new_password": OTHER});
    assert_eq!(browser.put("/api/v1/user/password", &body).await.0, 204);
    assert_eq!(browser.get("/api/v1/user").await.0, 200);
    assert_eq!(elsewhere.get("/api/v1/user").await.0, 401);
    let again = browser.put("/api/v1/user/password", &body).await;
    assert_eq!((code(&again), &again.1["field"]), ((422, "wrong_password"), &json!("current_password")));

    let body = json!({"email": "anna@example.com", "current_password": OTHER});
    assert_eq!(browser.post("/api/v1/user/email", &body).await.0, 202);
    assert_eq!(
        browser.get("/api/v1/user").await.1["user"]["email"],
        EMAIL,
        "nothing changes before the link"
    );
    let link = links(&world, "anna@example.com", 1).await.remove(0);
    let opened =
        Browser::new(&world).post("/api/v1/email-change/confirm", &json!({"token": token(&link)})).await;
    assert_eq!(opened.0, 204);
    assert_eq!(browser.get("/api/v1/user").await.1["user"]["email"], "anna@example.com");
    let notice =
        "select count(*) from mail_outbox where recipient = 'anna@example.org' and subject like '%address%'";
    assert_eq!(world.count(notice).await, 1, "the old address is told");
}

#[tokio::test]
async fn accounts_are_made_by_whom_the_installation_is_open_to() {
    let closed = World::start().await;
    let body = |email: &str| json!({"email": email, "name": "Ben", "password": PASSWORD});
    let refused = Browser::new(&closed).post("/api/v1/sign-up", &body("ben@example.org")).await;
    assert_eq!(code(&refused), (403, "invitation_needed"));

    let unreachable = loggia_runtime::Secret::new("smtp://127.0.0.1:1?tls=opportunistic");
    let world = World::start_with(|config| {
        config.sign_up = SignUpMode::Domains(vec!["example.org".into()]);
        config.mail.way = loggia_api::MailWay::Smtp(unreachable);
    })
    .await;
    set_up(&world).await;
    let ben = Browser::new(&world);
    assert_eq!(
        code(&ben.post("/api/v1/sign-up", &body("ben@example.com")).await),
        (403, "invitation_needed")
    );
    let (new, known) = (
        ben.post("/api/v1/sign-up", &body("ben@example.org")).await,
        ben.post("/api/v1/sign-up", &body(EMAIL)).await,
    );
    assert_eq!((new.0, &new), (202, &known), "alike for a new address and a known one");
    assert_eq!(world.count("select count(*) from users").await, 1);
    let link = links(&world, "ben@example.org", 1).await.remove(0);
    let confirm = json!({"token": token(&link)});
    let made = ben.post("/api/v1/sign-up/confirm", &confirm).await;
    assert_eq!((made.0, &made.1["user"]["is_operator"]), (201, &json!(false)));
    assert_eq!(ben.get("/api/v1/user").await.1["organizations"][0]["slug"], "ben");
    assert_eq!(code(&ben.post("/api/v1/sign-up/confirm", &confirm).await), (410, "link_over"));
    links(&world, EMAIL, 1).await;
    assert_eq!(
        world.count("select count(*) from mail_outbox where subject like 'You have an account%'").await,
        1
    );
}

#[tokio::test]
async fn an_account_ends_unless_something_would_be_nobodys() {
    let world = World::start().await;
    let browser = set_up(&world).await;
    let body = json!({"current_password": PASSWORD});
    assert_eq!(code(&browser.delete_with("/api/v1/user", &body).await), (409, "sole_owner"));
    let ben = world.person("ben").await;
    world.join(&ben, "default", loggia_types::api::Role::Owner).await;
    assert_eq!(browser.delete_with("/api/v1/user", &body).await.0, 204);
    assert_eq!(
        world.count("select count(*) from organizations where slug = 'anna'").await,
        0,
        "the personal one goes too"
    );
    let audit = "select count(*) from audit_log where action = 'user.delete'";
    assert_eq!(world.count(audit).await, 1, "what was written down stays");
}

#[tokio::test]
async fn a_program_is_let_in_from_a_browser() {
    let world = World::start().await;
    let browser = set_up(&world).await;
    let program = Browser::new(&world);
    let begin = async || {
        let body = json!({"client": "loggia on a laptop", "scope": "deploy"});
        program.post("/api/v1/device/code", &body).await.1
    };
    let poll = async |begun: &Value| {
        let body = json!({"device_code": begun["device_code"]});
        program.post("/api/v1/device/token", &body).await
    };
    let begun = begin().await;
    let user_code = begun["user_code"].as_str().unwrap();
    assert!(begun["verification_uri_complete"].as_str().unwrap().ends_with(&format!("/device#{user_code}")));
    assert_eq!(code(&poll(&begun).await), (400, "authorization_pending"));
    assert_eq!(code(&poll(&begun).await), (400, "slow_down"));
    let small = user_code.replace('-', "").to_lowercase();
    let seen = browser.get(&format!("/api/v1/device?user_code={small}")).await.1;
    assert_eq!(seen, json!({"client": "loggia on a laptop", "scope": "deploy", "address": "127.0.0.1"}));
    let decide = async |user_code: &str, approve: bool| {
        browser.post("/api/v1/device/decide", &json!({"user_code": user_code, "approve": approve})).await
    };
    assert_eq!(decide(&small, true).await.0, 204);
    assert_eq!(decide(&small, true).await.0, 404, "decided once");
    let let_in = poll(&begun).await;
    let token = let_in.1["token"].as_str().unwrap().to_owned();
    assert_eq!(code(&poll(&begun).await), (400, "expired_token"), "handed out once");
    let who = world.http.get(format!("{}/api/v1/user", world.url)).bearer_auth(&token).send().await.unwrap();
    let who: Value = who.json().await.unwrap();
    assert_eq!((&who["user"]["email"], &who["scope"]), (&json!(EMAIL), &json!("deploy")));
    // Turned away, too late, and guessed.
    let begun = begin().await;
    decide(begun["user_code"].as_str().unwrap(), false).await;
    assert_eq!(code(&poll(&begun).await), (400, "access_denied"));
    let begun = begin().await;
    world.database.connect().await.batch_execute("update device_codes set expires_at = now()").await.unwrap();
    assert_eq!(decide(begun["user_code"].as_str().unwrap(), true).await.0, 404);
    assert_eq!(code(&poll(&begun).await), (400, "expired_token"));
    for _ in 0..4 {
        browser.get("/api/v1/device?user_code=BCDF-GHJK").await;
    }
    assert_eq!(code(&browser.get("/api/v1/device?user_code=BCDF-GHJK").await), (429, "too_many_attempts"));
}
