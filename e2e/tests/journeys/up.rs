use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loggia_client::ApiClient;
use loggia_e2e::fleet::{BUILD_WITHIN, SOON, ca_file, slug};
use loggia_e2e::process::{Process, free_port, loggia, repository_root};
use loggia_e2e::visitor::Visitor;
use loggia_e2e::{eventually, projects};
use nix::sys::signal::Signal;
use serde_json::Value;

struct Ports {
    http: u16,
    https: u16,
    api: u16,
}

fn start(dir: &Path, ports: &Ports) -> Process {
    let ready = dir.join("ready.json");
    assert!(!ready.exists(), "it is removed at the end");
    let sample = repository_root().join("examples/hello");
    let numbers = [ports.http, ports.https, ports.api].map(|port| port.to_string());
    let args = [
        "up",
        "--data-dir",
        "data",
        "--ready-file",
        ready.to_str().unwrap(),
        "--sample",
        sample.to_str().unwrap(),
        "--http-port",
        &numbers[0],
        "--https-port",
        &numbers[1],
        "--api-port",
        &numbers[2],
    ];
    let mut env = vec![("LOGGIA_BUILD_EXECUTOR", "sandbox".to_owned())];
    env.extend(ca_file().map(|file| ("LOGGIA_BUILD_CA_FILE", file)));
    Process::start("up", dir, &loggia(), &args, &env)
}

async fn ready(dir: &Path) -> Value {
    eventually("the ready file is there", SOON * 3, || async {
        serde_json::from_slice(&std::fs::read(dir.join("ready.json")).ok()?).ok()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn loggia_up_shows_the_sample_takes_a_folder_and_keeps_everything_over_a_restart() {
    let dir = tempfile::Builder::new().prefix("loggia-up-").tempdir().unwrap();
    open_to_all(dir.path());
    let ports = Ports { http: free_port(), https: free_port(), api: free_port() };
    let visitor = Visitor::new(ports.http);

    let up = start(dir.path(), &ports);
    let told = ready(dir.path()).await;
    assert_eq!(told["base_domain"], "localhost");
    let page =
        eventually("the sample is live", BUILD_WITHIN, || visitor.try_get("hello.localhost", "/")).await;
    assert!(page.body.contains("<html"), "{}", page.body);
    eventually("the parts of the time are told", Duration::from_secs(30), || async {
        let log = up.log();
        ["queue", "checkout", "install", "build", "upload", "switch"]
            .iter()
            .all(|part| log.contains(part))
            .then_some(())
    })
    .await;
    https_answers(ports.https).await;
    let deployed = deploy(dir.path(), &told, "from-a-folder");
    assert_eq!((deployed["files"].as_u64(), deployed["uploaded"].as_u64()), (Some(2), Some(2)));
    assert_eq!(visitor.get("docs.localhost", "/").await.body, "from-a-folder");
    let again = deploy(dir.path(), &told, "changed");
    assert_eq!((again["uploaded"].as_u64(), again["reused"].as_u64()), (Some(1), Some(1)));
    eventually("the change is shown", SOON, || async {
        (visitor.get("docs.localhost", "/").await.body == "changed").then_some(())
    })
    .await;

    assert!(up.stop(Signal::SIGINT), "Ctrl-C ends it well");
    assert_eq!(processes_of(dir.path()), Vec::<String>::new(), "nothing is left running");

    let up = start(dir.path(), &ports);
    let told_again = ready(dir.path()).await;
    assert_eq!(told_again["admin_token"], told["admin_token"]);
    assert_eq!(visitor.get("docs.localhost", "/").await.body, "changed");
    assert_eq!(visitor.get("hello.localhost", "/").await.body, page.body);
    let api = ApiClient::new(told["api_url"].as_str().unwrap(), told["admin_token"].as_str().unwrap());
    let deployments = api.list_deployments(&slug("hello"), None).await.unwrap().items;
    assert_eq!(deployments.len(), 1, "the sample is pushed once");
    assert_eq!(up.log().matches("shown this once").count(), 1, "by the first run only");
    assert!(up.stop(Signal::SIGTERM));
}

fn deploy(dir: &Path, told: &Value, text: &str) -> Value {
    let folder = projects::plain(&[("index.html", text), ("same.css", "a {}"), (".hidden", "x")]);
    let output = Command::new(loggia())
        .args(["deploy", folder.path().to_str().unwrap(), "--project", "docs", "--create", "--json"])
        .current_dir(dir)
        .env("LOGGIA_API_URL", told["api_url"].as_str().unwrap())
        .env("LOGGIA_TOKEN", told["admin_token"].as_str().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn https_answers(port: u16) {
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .resolve("hello.localhost", ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let answer = client.get(format!("https://hello.localhost:{port}/")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711)).unwrap();
}

/// Commands that run with this folder in their arguments.
fn processes_of(dir: &Path) -> Vec<String> {
    let folder = dir.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|command| command.contains(folder))
        .collect()
}
