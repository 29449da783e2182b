//! Whole builds: claimed from a fake api, fetched from a real Git server, run in a real sandbox, published to a real
//! S3 server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checkout_support;
mod pipeline_support;

use loggia_types::build::{BuildFailure, BuildReport, Outcome, Phase, Step};
use loggia_types::manifest::Coding;
use loggia_types::publish::PublishCounts;
use loggia_types::rules::Dialect;
use loggia_types::{ContentHash, FolderRef, ObjectKey};
use pipeline_support::World;

fn ready(report: &BuildReport) -> (PublishCounts, &str) {
    match &report.outcome {
        Outcome::Ready { counts, framework, .. } => (*counts, framework),
        other => panic!("the build is not ready: {other:?}"),
    }
}

fn failed(report: &BuildReport) -> &BuildFailure {
    match &report.outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("the build did not fail: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_files_become_a_deployment_and_the_next_one_uploads_only_what_changed() {
    let mut world = World::new().await;
    let repository = world.git.create("site.git", true);
    let one = repository.commit("main", &[("index.html", "one"), ("style.css", "a {}")]);
    let first = world.assignment("site.git", &one);
    let report = world.build(&first).await;
    let (counts, framework) = ready(&report);
    assert_eq!(framework, "plain files");
    assert_eq!(counts, PublishCounts { files: 2, bytes: 7, uploaded: 2, uploaded_bytes: 7, reused: 0 });
    let steps: Vec<_> = report.timings.iter().map(|timing| timing.step).collect();
    assert_eq!(
        steps,
        [Step::Queue, Step::Checkout, Step::Detect, Step::Install, Step::Build, Step::Collect, Step::Upload]
    );
    let manifest = world.manifest(&first).await.unwrap();
    assert_eq!(manifest.facts().commit.as_ref(), Some(&first.commit));
    let keys = world.store.list_keys(first.project_id.as_str()).await.unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");

    let two = repository.commit("main", &[("index.html", "two"), ("style.css", "a {}")]);
    let mut second = world.assignment("site.git", &two);
    second.base = Some(first.deployment_id);
    let (counts, _) = ready(&world.build(&second).await);
    assert_eq!((counts.uploaded, counts.reused), (1, 1));
    assert_eq!(world.workspaces(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_command_runs_with_the_project_s_variables_and_its_secrets_stay_out_of_the_log() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("README.md", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.env.insert("API_TOKEN".to_owned(), "hunter2hunter2".to_owned());
    assignment.secret_names.insert("API_TOKEN".to_owned());
    assignment.settings.build_command = Some(
        "mkdir dist && echo \"$API_TOKEN\" > dist/index.html && echo \"token $API_TOKEN on $LOGGIA_BRANCH\" && \
         ln -s /etc/passwd dist/passwd"
            .to_owned(),
    );
    let report = world.build(&assignment).await;
    let Outcome::Ready { counts, problems, .. } = &report.outcome else { panic!("{report:?}") };
    assert_eq!((counts.files, counts.bytes), (1, 15));
    assert_eq!(problems.iter().map(|problem| problem.file.as_str()).collect::<Vec<_>>(), ["passwd"]);
    let log = world.log();
    assert!(log.contains("build: token *** on main\n") && !log.contains("hunter2"), "{log}");
    let numbers: Vec<u32> = world.api().log.keys().copied().collect();
    assert_eq!(numbers, (0..u32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(world.api().phases.last(), Some(&Phase::Deploying));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_json_is_installed_by_its_lock_file_and_built_by_its_script() {
    let mut world = World::new().await;
    let package = r#"{"name":"x","version":"1.0.0","scripts":{"build":"node make.js"}}"#;
    let lock = r#"{"name":"x","version":"1.0.0","lockfileVersion":3,"requires":true,
                   "packages":{"":{"name":"x","version":"1.0.0"}}}"#;
    let script =
        "const fs = require('fs'); fs.mkdirSync('build'); fs.writeFileSync('build/index.html', 'made');";
    let files = [("make.js", script), ("package-lock.json", lock), ("package.json", package)];
    let commit = world.git.create("site.git", true).commit("main", &files);
    let assignment = world.assignment("site.git", &commit);
    let report = world.build(&assignment).await;
    assert_eq!(ready(&report).1, "Node.js");
    let log = world.log();
    assert!(log.contains("install: $ npm ci\n") && log.contains("build: $ npm run build\n"), "{log}");
    assert!(log.contains("collect: Found 1 files in build\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_masked_encoded_cut_in_two_and_quoted_in_a_problem() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.env.insert("KEY".to_owned(), "hunter2-hunter2\nsecond/line".to_owned());
    assignment.env.insert("PLAIN".to_owned(), "plainly-told".to_owned());
    assignment.secret_names.insert("KEY".to_owned());
    assignment.withheld_names.insert("OTHER_KEY".to_owned());
    // Lines are cut at 8192 bytes: in the middle of the value, and behind it.
    assignment.settings.build_command = Some(
        "echo \"$KEY\"; printf %s \"$KEY\" | base64; printf 'user:%s' \"$KEY\" | base64; echo $PLAIN; \
         printf '%8184s%s' '' \"$KEY\"; echo; printf '%8177s%s' '' \"$KEY\"; \
         echo \"/old /new 999 $KEY\" > _redirects"
            .to_owned(),
    );
    assignment.settings.output = Some(".".to_owned());
    let report = world.build(&assignment).await;
    let Outcome::Ready { problems, .. } = &report.outcome else { panic!("{report:?}") };
    let log = world.log();
    let told = format!("{log}{problems:?}{:?}", world.manifest(&assignment).await.unwrap().facts().problems);
    for part in ["hunter2", "second/line", "aHVudGVyMi", "h1bnRlcjIt", "odW50ZXIyL"] {
        assert!(!told.contains(part), "{part} in {told}");
    }
    assert!(log.contains("plainly-told") && log.contains("Not set in this build: OTHER_KEY."), "{log}");
    assert!(problems.iter().any(|problem| problem.file == "_redirects"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_command_is_a_failed_build_with_its_exit_code_and_last_lines() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.env.insert("API_TOKEN".to_owned(), "hunter2hunter2".to_owned());
    assignment.secret_names.insert("API_TOKEN".to_owned());
    assignment.settings.build_command = Some("echo almost $API_TOKEN; exit 3".to_owned());
    let report = world.build(&assignment).await;
    let failure = failed(&report);
    assert_eq!((failure.step, failure.exit_code), (Step::Build, Some(3)));
    assert!(failure.reason.contains("failed with exit code 3"), "{}", failure.reason);
    assert_eq!(failure.log_tail.last().map(String::as_str), Some("almost ***"));
    assert!(world.manifest(&assignment).await.is_none());
    assert_eq!(world.workspaces(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_before_and_after_the_command_names_its_step() {
    let mut world = World::new().await;
    let repository = world.git.create("site.git", true);
    let nothing = repository.commit("main", &[("README.md", "x")]);
    let next = repository.commit("main", &[("package.json", r#"{"dependencies":{"next":"15"}}"#)]);
    let cases = [
        (world.assignment("gone.git", &nothing), Step::Checkout, "There is no repository"),
        (world.assignment("site.git", &nothing), Step::Detect, "no index.html"),
        (world.assignment("site.git", &next), Step::Detect, "output: 'export'"),
        (
            {
                let mut assignment = world.assignment("site.git", &nothing);
                assignment.settings.build_command = Some("mkdir target".to_owned());
                assignment
            },
            Step::Collect,
            "Folders that are there: target.",
        ),
    ];
    for (assignment, step, reason) in cases {
        let report = world.build(&assignment).await;
        let failure = failed(&report);
        assert_eq!(failure.step, step, "{failure:?}");
        assert!(failure.reason.contains(reason), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_an_earlier_attempt_completed_is_reported_at_once() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    let first = world.build(&assignment).await;
    assignment.attempt = 2;
    // Nothing is fetched any more: this repository is not there.
    assignment.repository_url = world.git.url("gone.git").parse().unwrap();
    let second = world.build(&assignment).await;
    assert_eq!(ready(&second), ready(&first));
    assert_eq!(second.attempt, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_over_its_time_fails_and_says_so() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.settings.build_command = Some("sleep 600".to_owned());
    assignment.limits.total_secs = 3;
    let report = world.build(&assignment).await;
    let failure = failed(&report);
    assert_eq!(failure.step, Step::Build);
    assert!(failure.reason.starts_with("The build ran longer than 3 seconds"), "{}", failure.reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_build_stops_and_reports_nothing() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.lease_secs = 1;
    assignment.settings.build_command = Some("echo begun; sleep 600".to_owned());
    world.api().cancel_at = Some("begun");
    world.enqueue(&assignment);
    // It asks for the next build only after this one has been cleaned up.
    world.wait_for("the next claim", |state| state.claims == 2).await;
    assert!(world.api().reports.is_empty());
    assert_eq!(world.workspaces(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_whose_lease_is_over_stops_whether_it_is_told_or_not() {
    for is_told in [true, false] {
        let mut world = World::new().await;
        let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
        let mut assignment = world.assignment("site.git", &commit);
        assignment.lease_secs = 2;
        assignment.settings.build_command = Some("sleep 600".to_owned());
        world.api().refuses_lease = is_told;
        world.api().heartbeats_fail = !is_told;
        world.enqueue(&assignment);
        world.wait_for("the next claim", |state| state.claims == 2).await;
        assert!(world.api().reports.is_empty());
        assert!(world.manifest(&assignment).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_that_is_stopped_gives_its_build_back() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.settings.build_command = Some("echo begun; sleep 600".to_owned());
    world.enqueue(&assignment);
    world.wait_for("the build", |state| state.log.values().any(|line| line.text == "begun")).await;
    world.shut_down().await;
    assert!(matches!(world.api().reports.as_slice(), [BuildReport { outcome: Outcome::Released, .. }]));
    assert_eq!(world.workspaces(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_away_for_a_while_gets_the_log_and_the_report_once() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("index.html", "x")]);
    let assignment = world.assignment("site.git", &commit);
    world.api().log_outage = 2;
    world.api().report_outage = 2;
    ready(&world.build(&assignment).await);
    let state = world.api();
    assert_eq!((state.reports.len(), state.log.len()), (1, state.lines_received));
    assert!(state.log.values().any(|line| line.text == "The deployment is complete."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previews_and_production_have_caches_of_their_own() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("README.md", "x")]);
    let mut assignment = world.assignment("site.git", &commit);
    let command = "mkdir dist && touch /cache/$LOGGIA_CONTEXT && ls /cache > dist/index.html";
    assignment.settings.build_command = Some(command.to_owned());
    for environment in ["production", "preview", "production"] {
        let fresh = world.assignment("site.git", &commit);
        (assignment.build_id, assignment.deployment_id) = (fresh.build_id, fresh.deployment_id);
        assignment.environment = environment.parse().unwrap();
        ready(&world.build(&assignment).await);
        let caches = world.dir.path().join("work/cache").join(assignment.project_id.as_str());
        let own = std::fs::read_dir(caches.join(environment)).unwrap().count();
        assert_eq!(own, 1, "{environment} sees its own file only");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_forms_are_made_once_and_go_with_their_content_wherever_it_moves() {
    let mut world = World::new().await;
    let repository = world.git.create("site.git", true);
    let script = "const answer = 42;\n".repeat(500);
    let page = "<link rel=preload as=script href=/assets/app-3f2a91bc.js>";
    let one = repository.commit("main", &[("index.html", page), ("copy.js", &script)]);
    let mut first = world.assignment("site.git", &one);
    first.settings.build_command = Some(
        "mkdir -p dist/assets; cp index.html copy.js dist; cp copy.js dist/assets/app-3f2a91bc.js".to_owned(),
    );
    let (counts, _) = ready(&world.build(&first).await);
    assert_eq!((counts.files, counts.uploaded, counts.reused), (3, 3, 0));
    assert!(world.log().contains("upload: Uploading 2 of 3 files\n"), "{}", world.log());
    assert!(world.log().contains("upload: Compressing 1 of 3 files\n"), "{}", world.log());
    let manifest = world.manifest(&first).await.unwrap();
    let entry = manifest.find("copy.js").unwrap();
    assert_eq!(entry.variants().map(|variant| variant.coding).collect::<Vec<_>>(), Coding::ALL);
    for variant in entry.variants() {
        let stored = world.store.find_start(&entry.variant_key(variant.coding), usize::MAX).await.unwrap();
        assert_eq!(ContentHash::of(&stored.unwrap()), variant.hash);
    }
    assert_eq!(
        manifest.find("index.html").unwrap().link(),
        Some("</assets/app-3f2a91bc.js>; rel=preload; as=script")
    );

    let two = repository.commit("main", &[("index.html", page), ("moved.js", &script)]);
    let mut second = world.assignment("site.git", &two);
    second.base = Some(first.deployment_id);
    let (counts, _) = ready(&world.build(&second).await);
    assert_eq!((counts.uploaded, counts.reused), (0, 2));
    assert!(world.log().contains("upload: Compressing 0 of 2 files\n"), "{}", world.log());
    let manifest = world.manifest(&second).await.unwrap();
    let moved = manifest.find("moved.js").unwrap();
    assert_eq!((moved.folder(), moved.variants().count()), (first.folder(), 3));
    let own = format!("{}/{}/", second.project_id, second.deployment_id);
    assert_eq!(world.store.list_keys(&own).await.unwrap().len(), 1, "the manifest");
    let (retired, gone) = manifest.find_retired("assets/app-3f2a91bc.js").unwrap();
    assert_eq!((gone.deployment_id, retired.variants().count()), (first.deployment_id, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_read_from_the_output_and_settings_also_from_the_project_s_folder() {
    let mut world = World::new().await;
    let repository = world.git.create("site.git", true);
    let settings = "[serve]\nhtml_handling = \"none\"\npermanent = true\n\
                    [[redirects]]\nfrom = \"/project\"\nto = \"/x\"";
    let files = [
        ("loggia.toml", settings),
        ("wrangler.jsonc", "{}"),
        ("_redirects", "/not-read /x"),
        ("out.txt", "/old /new 301\n/bad"),
    ];
    let commit = repository.commit("main", &files);
    let mut assignment = world.assignment("site.git", &commit);
    let command = "mkdir public; cp out.txt public/_redirects; touch public/index.html";
    assignment.settings.build_command = Some(command.to_owned());
    assignment.settings.output = Some("public".to_owned());
    let report = world.build(&assignment).await;
    let Outcome::Ready { problems, .. } = &report.outcome else { panic!("{report:?}") };
    let places: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(places, [("_redirects", Some(2))], "{problems:?}");
    assert!(world.log().contains("collect: problem: _redirects:2: "), "{}", world.log());
    let manifest = world.manifest(&assignment).await.unwrap();
    let facts = manifest.facts();
    assert_eq!((facts.html_handling.as_str(), facts.not_found.as_str()), ("none", "auto"));
    assert_eq!((facts.permanent, facts.dialect, &facts.problems), (true, Dialect::Cloudflare, problems));
    let sources: Vec<_> = manifest.rules().redirects.iter().map(|rule| rule.source.to_string()).collect();
    assert_eq!((sources.len(), sources[0].as_str()), (2, "_redirects:1"), "{sources:?}");
    assert!(manifest.find("_redirects").is_some_and(|entry| entry.variants().count() == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_over_a_limit_fail_the_build_by_file_and_line() {
    let mut world = World::new().await;
    let repository = world.git.create("site.git", true);
    let long = format!("/a /b\n/{} /x", "a".repeat(3000));
    let commit = repository.commit("main", &[("index.html", "x"), ("_redirects", &long)]);
    let assignment = world.assignment("site.git", &commit);
    let report = world.build(&assignment).await;
    let failure = failed(&report);
    assert_eq!(failure.step, Step::Collect);
    assert!(failure.reason.starts_with("_redirects:2: "), "{}", failure.reason);
    let huge = "# comment\n".repeat(10_000);
    let commit = repository.commit("main", &[("index.html", "x"), ("_headers", &huge)]);
    let assignment = world.assignment("site.git", &commit);
    let report = world.build(&assignment).await;
    assert!(failed(&report).reason.starts_with("_headers:"), "{}", failed(&report).reason);
    assert!(world.manifest(&assignment).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_broke_off_is_done_again_in_a_folder_of_its_own() {
    let mut world = World::new().await;
    let commit = world.git.create("site.git", true).commit("main", &[("a.txt", &"text ".repeat(1000))]);
    let mut assignment = world.assignment("site.git", &commit);
    assignment.settings.output = Some(".".to_owned());
    let first = FolderRef::of_attempt(assignment.deployment_id, 1);
    assignment.attempt = 2;
    ready(&world.build(&assignment).await);
    let manifest = world.manifest(&assignment).await.unwrap();
    let entry = manifest.find("a.txt").unwrap();
    assert_ne!(entry.folder(), first);
    let key = entry.variant_key(Coding::Zstd);
    let own = ObjectKey::variant(
        assignment.project_id,
        assignment.folder(),
        Coding::Zstd,
        &"a.txt".parse().unwrap(),
    );
    assert_eq!(key, own);
    assert!(world.store.find_start(&key, 10).await.unwrap().is_some());
}
