//! Checkouts from a real Git server over HTTP, and from servers and repositories that mean harm.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checkout_support;

use std::path::PathBuf;
use std::sync::Mutex;

use checkout_support::{FILE, FOLDER, GitServer, LINK, SUBMODULE};
use loggia_builder::checkout::{Checkout, CheckoutError, CheckoutLimits, GitPolicy, fetch};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

struct World {
    server: GitServer,
    dir: TempDir,
    limits: CheckoutLimits,
    lines: Mutex<Vec<String>>,
}

impl World {
    async fn new() -> Self {
        Self {
            server: GitServer::start().await,
            dir: tempfile::tempdir().unwrap(),
            limits: CheckoutLimits::default(),
            lines: Mutex::default(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn has(&self, path: &str) -> bool {
        self.folder().join(path).symlink_metadata().is_ok()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder().join(path)).unwrap()
    }

    async fn check_out(&self, path: &str, branch: &str, commit: &str) -> Result<(), CheckoutError> {
        let url = self.server.url(path);
        self.check_out_url(&url, branch, commit, &CancellationToken::new()).await
    }

    async fn check_out_url(
        &self,
        url: &str,
        branch: &str,
        commit: &str,
        stop: &CancellationToken,
    ) -> Result<(), CheckoutError> {
        let _ = std::fs::remove_dir_all(self.folder());
        std::fs::create_dir(self.folder()).unwrap();
        let checkout = Checkout {
            url: url.parse().unwrap(),
            branch: branch.parse().unwrap(),
            commit: commit.parse().unwrap(),
            into: self.folder(),
        };
        let policy = GitPolicy { http_hosts: vec![self.server.authority.clone(), "127.0.0.1:1".to_owned()] };
        let progress = |line: &str| self.lines.lock().unwrap().push(line.to_owned());
        fetch(checkout, &policy, self.limits.clone(), stop, progress).await
    }

    /// `theirs: …`, `ours: …` or `done`.
    async fn summary(&self, path: &str, commit: &str) -> String {
        match self.check_out(path, "main", commit).await {
            Ok(()) => "done".to_owned(),
            Err(CheckoutError::Theirs(reason)) => format!("theirs: {reason}"),
            Err(CheckoutError::Ours(cause)) => format!("ours: {cause}"),
            Err(CheckoutError::Stopped) => "stopped".to_owned(),
        }
    }

    fn commits(&self) -> usize {
        let repository = git2::Repository::open(self.folder()).unwrap();
        let mut walk = repository.revwalk().unwrap();
        walk.push_head().unwrap();
        walk.count()
    }
}

const NOWHERE: &str = "0123456789012345678901234567890123456789";

#[tokio::test]
async fn the_tip_of_a_branch_comes_without_its_history() {
    let world = World::new().await;
    for (name, hands_out_any_commit) in [("any.git", true), ("refs.git", false)] {
        let repository = world.server.create(name, hands_out_any_commit);
        repository.commit("main", &[("index.html", "one")]);
        let tip = repository.commit("main", &[("index.html", "two")]);
        world.check_out(name, "main", &tip).await.unwrap();
        assert_eq!(world.read("index.html"), "two");
        assert_eq!(world.commits(), 1, "{name} is fetched at depth 1");
    }
    assert!(world.lines.lock().unwrap().iter().any(|line| line.starts_with("Received 3 objects, ")));
}

#[tokio::test]
async fn an_older_commit_is_found_by_name_or_in_the_history() {
    let world = World::new().await;
    for (name, hands_out_any_commit, commits) in [("any.git", true, 1), ("refs.git", false, 2)] {
        let repository = world.server.create(name, hands_out_any_commit);
        repository.commit("main", &[("index.html", "one")]);
        let older = repository.commit("main", &[("index.html", "two")]);
        repository.commit("main", &[("index.html", "three")]);
        world.check_out(name, "main", &older).await.unwrap();
        assert_eq!(world.read("index.html"), "two", "{name}");
        assert_eq!(world.commits(), commits, "{name}");
    }
}

#[tokio::test]
async fn a_build_finds_its_branch_and_origin_and_no_hooks() {
    let world = World::new().await;
    let tip = world.server.create("site.git", true).commit("feature/login", &[("index.html", "x")]);
    world.check_out("site.git", "feature/login", &tip).await.unwrap();
    let repository = git2::Repository::open(world.folder()).unwrap();
    assert_eq!(repository.head().unwrap().shorthand().unwrap(), "feature/login");
    assert_eq!(repository.find_remote("origin").unwrap().url().unwrap(), world.server.url("site.git"));
    assert!(repository.statuses(None).unwrap().is_empty(), "the work tree is clean");
    assert!(!world.has(".git/hooks/pre-commit.sample"));
}

#[tokio::test]
async fn a_deleted_branch_is_no_obstacle_when_the_server_still_has_the_commit() {
    let world = World::new().await;
    for (name, hands_out_any_commit, expected) in
        [("any.git", true, "done"), ("refs.git", false, "theirs: The commit")]
    {
        let repository = world.server.create(name, hands_out_any_commit);
        let tip = repository.commit("main", &[("index.html", "x")]);
        repository.delete_branch("main");
        repository.commit("other", &[("index.html", "y")]);
        let found = world.summary(name, &tip).await;
        assert!(found.starts_with(expected), "{name}: {found}");
    }
}

#[tokio::test]
async fn a_commit_that_is_gone_is_their_failure() {
    let world = World::new().await;
    for (name, hands_out_any_commit) in [("any.git", true), ("refs.git", false)] {
        world.server.create(name, hands_out_any_commit).commit("main", &[("index.html", "x")]);
        let found = world.summary(name, NOWHERE).await;
        assert!(
            found.starts_with("theirs: The commit 0123456 is not in the repository any more"),
            "{name}: {found}"
        );
    }
    world.server.create("empty.git", true);
    let found = world.summary("empty.git", NOWHERE).await;
    assert!(found.starts_with("theirs: The commit 0123456"), "{found}");
}

#[tokio::test]
async fn servers_that_refuse_or_talk_nonsense_are_told_apart_from_the_network() {
    let world = World::new().await;
    world.server.create("site.git", true).commit("main", &[("index.html", "x")]);
    let cases = [
        ("nothing-here.git", "theirs: There is no repository"),
        ("auth/site.git", "theirs: http://127.0.0.1"),
        ("forbidden/site.git", "theirs: http://127.0.0.1"),
        ("page/site.git", "theirs: http://127.0.0.1"),
        ("dumb/site.git", "theirs: http://127.0.0.1"),
        ("garbage/site.git", "theirs: http://127.0.0.1"),
        ("elsewhere/site.git", "theirs: http://127.0.0.1"),
        ("to-file/site.git", "theirs: http://127.0.0.1"),
        ("broken/site.git", "ours: "),
        ("cut/site.git", "ours: "),
    ];
    for (path, expected) in cases {
        let found = world.summary(path, NOWHERE).await;
        assert!(found.starts_with(expected), "{path}: {found}");
    }
    let nobody =
        world.check_out_url("http://127.0.0.1:1/x.git", "main", NOWHERE, &CancellationToken::new()).await;
    assert!(matches!(nobody, Err(CheckoutError::Ours(_))), "{nobody:?}");
}

#[tokio::test]
async fn http_is_only_spoken_to_hosts_that_the_operator_named() {
    let world = World::new().await;
    let url = world.server.url("site.git").replace("127.0.0.1", "localhost");
    let refused = world.check_out_url(&url, "main", NOWHERE, &CancellationToken::new()).await;
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("LOGGIA_GIT_HTTP_HOSTS"), "{reason}");
}

#[tokio::test]
async fn transfers_and_trees_over_the_limits_are_their_failure() {
    let mut world = World::new().await;
    let repository = world.server.create("site.git", true);
    // Noise, which does not compress (xorshift64).
    let mut state = 88_172_645_463_325_252_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(2 << 20)
    .collect();
    let blob = repository.blob(&noise);
    let entries = [(FILE, "a", blob), (FILE, "b", blob), (FILE, "c", blob)];
    let tip = repository.commit_tree("main", repository.raw_tree(&entries));
    let defaults = CheckoutLimits::default();
    let cases = [
        (CheckoutLimits { transfer_bytes: 300_000, ..defaults.clone() }, "sends more than 293.0 KiB"),
        (CheckoutLimits { objects: 2, ..defaults.clone() }, "sends 3 objects"),
        (CheckoutLimits { files: 2, ..defaults.clone() }, "more than 2 files"),
        (CheckoutLimits { file_bytes: 1 << 20, ..defaults.clone() }, "holds a, a file of 2.0 MiB"),
        (CheckoutLimits { tree_bytes: 5 << 20, ..defaults.clone() }, "holds more than 5.0 MiB"),
    ];
    for (limits, expected) in cases {
        world.limits = limits;
        let found = world.summary("site.git", &tip).await;
        assert!(found.starts_with("theirs: ") && found.contains(expected), "{expected}: {found}");
        assert!(!world.has("a"), "{expected}: nothing is written");
    }
    world.limits = defaults;
    assert_eq!(world.summary("site.git", &tip).await, "done");
}

#[tokio::test]
async fn a_tree_of_endless_folders_is_not_walked_to_its_end() {
    let world = World::new().await;
    let repository = world.server.create("bomb.git", true);
    let mut tree = repository.raw_tree(&[(FILE, "a", repository.blob(b"x"))]);
    let names: Vec<_> = ('a'..='j').map(String::from).collect();
    for _ in 0..12 {
        tree =
            repository.raw_tree(&names.iter().map(|name| (FOLDER, name.as_str(), tree)).collect::<Vec<_>>());
    }
    let tip = repository.commit_tree("main", tree);
    let found = world.summary("bomb.git", &tip).await;
    assert!(found.contains("more than 300000 files and folders"), "{found}");
}

#[tokio::test]
async fn hostile_trees_write_nothing_outside_of_the_folder() {
    let world = World::new().await;
    let repository = world.server.create("hostile.git", true);
    let evil = repository.blob(b"evil");
    let outside = world.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let to_outside = repository.blob(outside.to_str().unwrap().as_bytes());
    let folder = repository.raw_tree(&[(FILE, "evil", evil)]);
    let above = repository.raw_tree(&[(FILE, "..", evil)]);
    let trees = [
        ("a folder with the name ..", vec![(FOLDER, "..", folder)]),
        ("a file with the name ..", vec![(FOLDER, "a", above)]),
        ("a path as a name", vec![(FILE, "../evil", evil)]),
        ("an absolute name", vec![(FILE, "/tmp/evil", evil)]),
        ("a folder .git", vec![(FOLDER, ".git", folder)]),
        ("a folder .GIT", vec![(FOLDER, ".GIT", folder)]),
        ("a link and a folder of one name", vec![(LINK, "a", to_outside), (FOLDER, "a", folder)]),
        ("a folder and a link of one name", vec![(FOLDER, "a", folder), (LINK, "a", to_outside)]),
        ("an empty name", vec![(FILE, "", evil)]),
        ("a missing file", vec![(FILE, "a", git2::Oid::from_str(NOWHERE).unwrap())]),
    ];
    for (what, entries) in trees {
        let tip = repository.commit_tree("main", repository.raw_tree(&entries));
        let found = world.summary("hostile.git", &tip).await;
        assert_ne!(found, "done", "{what}");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "{what}");
        assert!(!world.dir.path().join("evil").exists() && !world.has(".git/evil"), "{what}");
    }
}

#[tokio::test]
async fn links_stay_links_and_submodules_stay_empty() {
    let world = World::new().await;
    let repository = world.server.create("site.git", true);
    let entries = [
        (LINK, "link", repository.blob(b"/etc/passwd")),
        (SUBMODULE, "module", git2::Oid::from_str(NOWHERE).unwrap()),
    ];
    let tip = repository.commit_tree("main", repository.raw_tree(&entries));
    world.check_out("site.git", "main", &tip).await.unwrap();
    assert!(world.folder().join("link").is_symlink());
    assert_eq!(std::fs::read_dir(world.folder().join("module")).unwrap().count(), 0);
    assert!(world.lines.lock().unwrap().iter().any(|line| line.contains("1 submodules are left empty")));
}

#[tokio::test]
async fn a_build_that_is_stopped_does_not_wait_for_a_silent_server() {
    let mut world = World::new().await;
    let stop = CancellationToken::new();
    let url = world.server.url("hang/site.git");
    let mut hanging = world.server.hanging.clone();
    let stopped = async {
        hanging.wait_for(|count| *count > 0).await.unwrap();
        stop.cancel();
    };
    world.limits.files = 1;
    let (ended, ()) = tokio::join!(world.check_out_url(&url, "main", NOWHERE, &stop), stopped);
    assert!(matches!(ended, Err(CheckoutError::Stopped)));
}
