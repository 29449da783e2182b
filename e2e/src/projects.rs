//! Projects that journeys push.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::forge::copy;
use crate::process::repository_root;

/// A React project straight from Vite's own template, with a lock file, made once for all journeys.
pub fn vite_react() -> TempDir {
    let shared = shared_folder();
    let lock = std::fs::File::create(shared.join("vite-react.lock")).unwrap();
    lock.lock().unwrap();
    let made = shared.join("vite-react");
    if !made.exists() {
        let work = tempfile::tempdir_in(&shared).unwrap();
        let project = work.path().join("app");
        let name = project.file_name().unwrap().to_str().unwrap();
        npm(
            work.path(),
            &["create", "--yes", "vite@latest", name, "--", "--template", "react", "--no-interactive"],
        );
        // The linter builds nothing, and not every registry has its packages for all the platforms that a lock
        // file names; a frozen install insists on them.
        npm(&project, &["uninstall", "--package-lock-only", "--ignore-scripts", "oxlint"]);
        std::fs::rename(&project, &made).unwrap();
    }
    let copied = tempfile::tempdir().unwrap();
    copy(&made, copied.path());
    copied
}

/// A project without dependencies whose build runs this JavaScript.
pub fn scripted(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("package.json", r#"{"name":"scripted","version":"1.0.0","scripts":{"build":"node build.mjs"}}"#);
    write(
        "package-lock.json",
        r#"{"name":"scripted","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"scripted","version":"1.0.0"}}}"#,
    );
    write("build.mjs", script);
    folder
}

/// Files as they are, an `index.html` among them.
pub fn plain(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let file = folder.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    folder
}

/// Every example payload that GitHub documents, by event, from the package that its own client is tested with.
pub fn github_payloads() -> Vec<(String, serde_json::Value)> {
    let shared = shared_folder();
    let lock = std::fs::File::create(shared.join("payloads.lock")).unwrap();
    lock.lock().unwrap();
    let package = shared.join("payloads/node_modules/@octokit/webhooks-examples");
    if !package.exists() {
        let folder = shared.join("payloads");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("package.json"), "{}").unwrap();
        npm(&folder, &["install", "--ignore-scripts", "--no-save", "@octokit/webhooks-examples@7"]);
    }
    let bytes = std::fs::read(package.join("api.github.com/index.json")).unwrap();
    let events: Vec<serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
    let examples = |event: &serde_json::Value| {
        let name = event["name"].as_str().unwrap().to_owned();
        let examples = event["examples"].as_array().unwrap().clone();
        examples.into_iter().map(move |example| (name.clone(), example)).collect::<Vec<_>>()
    };
    events.iter().flat_map(examples).collect()
}

fn shared_folder() -> PathBuf {
    let target = std::env::current_exe().unwrap();
    let folder = target.ancestors().nth(3).map_or_else(repository_root, Path::to_owned).join("journeys");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn npm(dir: &Path, args: &[&str]) {
    let output = Command::new("npm").current_dir(dir).args(args).output().expect("npm is installed");
    assert!(output.status.success(), "npm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
