use std::path::Path;
use std::process::Command;

use loggia_e2e::fleet::{BUILD_WITHIN, Fleet, SOON};
use loggia_e2e::process::loggia;
use loggia_e2e::{eventually, projects};
use loggia_types::api::{CreateVariable, CreatedProject, Deployment, DeploymentStatus};
use loggia_types::{DeploymentId, VariableContext};

/// Of several lines, with what encodings change.
const CANARY: &str = "c4n4ry-s3cr3t/Zx81+yq=&\n\"s3cond-l1ne\" of-the-c4n4ry";
/// What betrays it in whichever form: pieces of the value, of its base64 at each of the three offsets, of its hex.
const TRACES: [&str; 11] = [
    "c4n4ry",
    "s3cond-l1ne",
    "YzRuNHJ5LXMzY3IzdC9ae",
    "M0bjRyeS1zM2NyM3QvWn",
    "jNG40cnktczNjcjN0L1p4",
    "63346e3472792d",
    "63346E3472792D",
    "MzY29uZC1sMW5l",
    "zM2NvbmQtbDFuZ",
    "czNjb25kLWwxbmU",
    "Zx81%2",
];

/// Says it in every way that comes to mind, in pieces too, and writes a page that holds nothing of it.
const TALKATIVE: &str = r#"
import fs from 'fs';
import { execFileSync } from 'child_process';
const secret = process.env.CANARY;
if (!secret || secret.length < 40) throw new Error('the secret is not there');
const print = (text) => {
  let rest = Buffer.from(text);
  while (rest.length) {
    // The pipe may be full for a moment.
    try { rest = rest.subarray(fs.writeSync(1, rest)); } catch (error) { if (error.code !== 'EAGAIN') throw error; }
  }
};
print(`plain: ${secret}\n`);
console.error('to stderr:', secret);
print(JSON.stringify({ secret }) + '\n');
console.log({ secret });
print(Buffer.from(secret).toString('base64') + '\n');
print(Buffer.from(secret).toString('base64url') + '\n');
for (const user of ['u', 'us', 'use']) print(`Basic ${Buffer.from(user + ':' + secret).toString('base64')}\n`);
print(Buffer.from(secret).toString('hex') + '\n' + Buffer.from(secret).toString('hex').toUpperCase() + '\n');
print(encodeURIComponent(secret) + '\n' + new URLSearchParams({ secret }) + '\n');
// A line without its end, in many writes; and lines that are cut somewhere in the value.
for (const c of secret.split('\n')[0]) print(c);
print('\n');
for (let at = 8150; at < 8195; at++) print('.'.repeat(at) + secret + '\n');
print(execFileSync('env').toString());
fs.mkdirSync('dist');
fs.writeFileSync('dist/index.html', 'a page of a shop in ' + process.env.CITY);
console.log('all was said');
if (process.env.LOGGIA_BRANCH === 'broken') { print(secret); process.exit(3); }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_build_prints_in_every_form_is_found_nowhere() {
    let fleet = Fleet::new().await;
    is_found_nowhere(fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_build_in_a_container_prints_is_found_nowhere() {
    let mut fleet = Fleet::new().await;
    fleet.use_docker();
    is_found_nowhere(fleet).await;
}

async fn is_found_nowhere(mut fleet: Fleet) {
    fleet.set("LOGGIA_LOG", "debug");
    let (api, edge) = (fleet.start_api().await, fleet.start_edge().await);
    let builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    for (name, value, secret) in [("CANARY", CANARY, true), ("CITY", "Turin", false)] {
        let body = CreateVariable {
            name: name.parse().unwrap(),
            value: value.parse().unwrap(),
            secret,
            context: VariableContext::All,
        };
        fleet.api.create_variable(&project.project.slug, &body).await.unwrap();
    }
    let source = projects::scripted(TALKATIVE);
    let good = fleet.push(&project, source.path(), "main").await;
    let ended = watched(&fleet, &project, good).await;
    let log = fleet.log(&project, good).await;
    assert_eq!(ended.status, DeploymentStatus::Live, "{:?}\n{log}", ended.failure);
    assert!(
        log.contains("plain: ***") && log.contains("all was said") && log.contains("CITY=Turin"),
        "{log}"
    );
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "a page of a shop in Turin");
    let broken = fleet.push(&project, source.path(), "broken").await;
    let ended = watched(&fleet, &project, broken).await;
    assert_eq!(ended.status, DeploymentStatus::Failed);
    assert!(!ended.failure.unwrap().log_tail.is_empty());

    let mut told = vec![("the dump of the database".to_owned(), dump(fleet.database_url()))];
    for process in [("api", api.log()), ("edge", edge.log()), ("builder", builder.log())] {
        told.push((format!("the log of the {}", process.0), process.1));
    }
    told.extend(answers(&fleet, &[good, broken]).await);
    told.extend(files(fleet.dir.path()));
    assert!(told.len() > 20, "something was looked at");
    assert!(told[0].1.contains("CANARY") && told[0].1.contains("all was said"), "the dump is whole");
    assert!(told.iter().any(|(place, _)| place.contains("objects/")), "the bucket was looked at");
    for (place, text) in &told {
        for trace in TRACES {
            let found = text.find(trace).map(|at| {
                text[text.floor_char_boundary(at.saturating_sub(200))..].chars().take(400).collect::<String>()
            });
            assert!(found.is_none(), "{trace} is in {place}: {found:?}");
        }
    }
}

/// Waits for the end, and looks meanwhile at what everybody on the machine can see of its processes.
async fn watched(fleet: &Fleet, project: &CreatedProject, id: DeploymentId) -> Deployment {
    eventually("the deployment ends", BUILD_WITHIN, || async {
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            assert!(!TRACES.iter().any(|trace| line.contains(trace)), "{line}");
        }
        let deployment = fleet.api.get_deployment(&project.project.slug, id).await.ok()?;
        deployment.status.is_final().then_some(deployment)
    })
    .await
}

/// All rows of all tables as text.
fn dump(url: &str) -> String {
    let output = Command::new("pg_dump").args(["--inserts", "--dbname", url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Bytes are written in hex.
    assert!(text.contains("\\\\x") || text.contains("'\\x"), "sealed bytes are in it");
    text
}

/// Everything that the api says about the project.
async fn answers(fleet: &Fleet, deployments: &[DeploymentId]) -> Vec<(String, String)> {
    let http = reqwest::Client::new();
    let [_, (_, token)] = fleet.command_line();
    let mut paths = vec![
        "projects",
        "projects/shop",
        "projects/shop/variables",
        "projects/shop/variables/export",
        "projects/shop/variables/effective?context=production",
        "projects/shop/variables/effective?context=preview&trusted=false",
        "projects/shop/deployments",
        "projects/shop/domains",
        "platform/variables",
        "platform/keys",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    for id in deployments {
        paths.push(format!("projects/shop/deployments/{id}"));
        paths.push(format!("projects/shop/deployments/{id}/log"));
    }
    let mut answers = Vec::new();
    for path in paths {
        let url = format!("{}/api/v1/{path}", fleet.api_url);
        let response = http.get(url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        answers.push((path, response.text().await.unwrap()));
    }
    answers
}

/// Every file of the fleet: the bucket's objects, and what processes leave behind. The forge's repositories hold the source.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        // A builder may be clearing its folder.
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            files.push((entry.path().display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_from_the_command_line_while_the_api_serves() {
    let mut fleet = Fleet::new().await;
    let api = fleet.start_api().await;
    let project = fleet.project("shop").await;
    for n in 0..50 {
        let body = CreateVariable {
            name: format!("SECRET_{n}").parse().unwrap(),
            value: CANARY.parse().unwrap(),
            secret: true,
            context: VariableContext::All,
        };
        fleet.api.create_variable(&project.project.slug, &body).await.unwrap();
    }
    let keys = |fleet: &Fleet, words: &[&str]| {
        let output = Command::new(loggia())
            .arg("keys")
            .args(words)
            .current_dir(fleet.dir.path())
            .envs(fleet.command_line())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (well, added) = keys(&fleet, &["add", "--id", "next"]);
    let entry = added.lines().next().unwrap().to_owned();
    assert!(well && entry.starts_with("next:") && entry.len() == 5 + 64, "{added}");
    let old = format!("journey:{}", "5a".repeat(32));
    assert!(api.stop(nix::sys::signal::Signal::SIGTERM));
    fleet.set("LOGGIA_SECRETS_KEYS", format!("{entry},{old}"));
    let api = fleet.start_api().await;
    let (well, refused) = keys(&fleet, &["drop", "journey"]);
    assert!(!well && refused.contains("still seals 50 secrets"), "{refused}");
    let (well, rotated) = keys(&fleet, &["rotate"]);
    assert!(well && rotated.contains("50 were sealed anew"), "{rotated}");
    let (_, listed) = keys(&fleet, &["list"]);
    assert!(
        listed.contains("next")
            && listed.contains("50 secrets  seals what is new")
            && listed.contains("can be dropped"),
        "{listed}"
    );
    let (well, dropped) = keys(&fleet, &["drop", "journey"]);
    assert!(well && dropped.contains("take it out of LOGGIA_SECRETS_KEYS"), "{dropped}");
    assert!(api.stop(nix::sys::signal::Signal::SIGTERM));

    fleet.set("LOGGIA_SECRETS_KEYS", old);
    let api = fleet.start_api().await;
    eventually("the log names the key that is missing", SOON, || async {
        api.log()
            .contains("50 secrets are sealed with the key next, which is not in LOGGIA_SECRETS_KEYS")
            .then_some(())
    })
    .await;
    assert_eq!(fleet.api.list_variables(&project.project.slug).await.unwrap().items.len(), 50);
}
