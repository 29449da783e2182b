#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

struct World {
    dir: TempDir,
}

impl World {
    fn new(files: &[&str]) -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        files.iter().for_each(|path| world.write(path, path));
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("workspace").join(path)
    }

    fn write(&self, path: &str, content: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), content).unwrap();
    }

    async fn collect(&self, output: Output) -> Result<Site, CollectError> {
        collect(self.path(""), PathBuf::new(), output, CancellationToken::new()).await
    }

    /// The paths and the files named in problems, or the reason.
    async fn summary(&self, output: &str) -> String {
        match self.collect(Output::folder(output)).await {
            Ok(site) => {
                let files: Vec<_> = site.files.iter().map(|file| file.path.as_str().to_owned()).collect();
                let problems: Vec<_> = site.problems.iter().map(|problem| problem.file.clone()).collect();
                format!("{} | {}", files.join(" "), problems.join(" "))
            }
            Err(error) => format!("{error}"),
        }
    }
}

#[tokio::test]
async fn files_are_collected_with_their_hashes_in_order() {
    let world = World::new(&["dist/index.html", "dist/a/b.css", "dist/.well-known/x", "src/main.ts"]);
    fs::hard_link(world.path("src/main.ts"), world.path("dist/hard.ts")).unwrap();
    let site = world.collect(Output::folder("dist")).await.unwrap();
    let paths: Vec<_> = site.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, [".well-known/x", "a/b.css", "hard.ts", "index.html"]);
    for file in &site.files {
        let content = fs::read(&site.locations[&file.path]).unwrap();
        assert_eq!((file.hash, file.size), (loggia_types::ContentHash::of(&content), content.len() as u64));
    }
    assert!(site.problems.is_empty());
}

#[tokio::test]
async fn hidden_files_and_packages_are_left_out_without_a_word() {
    let world = World::new(&[
        "index.html",
        ".git/config",
        ".env",
        "a/.env.local",
        "node_modules/x/index.js",
        "a/node_modules/y.js",
        "a/b.html",
        "package.json",
        "loggia.toml",
        "a/package.json",
    ]);
    assert_eq!(world.summary(".").await, "a/b.html a/package.json index.html | ");
}

#[tokio::test]
async fn links_pipes_and_sockets_are_problems_and_lead_nowhere() {
    let world = World::new(&["dist/index.html", "secret/key"]);
    symlink("/etc/passwd", world.path("dist/passwd")).unwrap();
    symlink("../secret", world.path("dist/folder")).unwrap();
    symlink("index.html", world.path("dist/home.html")).unwrap();
    symlink("nowhere", world.path("dist/broken")).unwrap();
    symlink(".", world.path("dist/loop")).unwrap();
    nix::unistd::mkfifo(&world.path("dist/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(world.path("dist/socket")).unwrap();
    assert_eq!(world.summary("dist").await, "index.html | broken folder home.html loop passwd pipe socket");
}

#[tokio::test]
async fn the_output_folder_is_a_real_folder_inside_the_workspace() {
    let world = World::new(&["real/index.html", "file", "empty/.keep"]);
    fs::create_dir_all(world.dir.path().join("outside/site")).unwrap();
    fs::write(world.dir.path().join("outside/site/index.html"), "x").unwrap();
    symlink("real", world.path("inner-link")).unwrap();
    symlink(world.dir.path().join("outside"), world.path("outer-link")).unwrap();
    let cases = [
        ("real", "index.html | "),
        ("./real/", "index.html | "),
        ("inner-link", "is a link"),
        ("outer-link/site", "is a link"),
        ("file", "is a file"),
        ("missing", "Folders that are there: empty, real."),
        ("empty", "holds no file"),
        (&"x".repeat(300), "is not there after the build"),
    ];
    for (output, expected) in cases {
        let found = world.summary(output).await;
        assert!(found.contains(expected), "{output}: {found}");
    }
}

#[tokio::test]
async fn the_first_of_the_usual_folders_is_taken() {
    let world = World::new(&["public/a", "out/b"]);
    let site = world.collect(Output::first_of(&["dist", "public", "out"])).await.unwrap();
    assert_eq!(site.folder, "public");
    let error = world.collect(Output::first_of(&["dist", "build"])).await.unwrap_err().to_string();
    assert!(error.contains("(`dist`, `build`)") && error.contains("out, public"), "{error}");
}

#[tokio::test]
async fn names_that_cannot_be_served_are_problems() {
    let world = World::new(&["dist/index.html", "dist/a\\b", "dist/line\nbreak"]);
    let odd = world.path("dist").join(std::ffi::OsStr::from_bytes(b"\xff\xfe.html"));
    fs::write(odd, "x").unwrap();
    assert_eq!(world.summary("dist").await, "index.html | a\\b line\nbreak \u{fffd}\u{fffd}.html");
}

#[tokio::test]
async fn of_two_spellings_of_one_name_the_composed_one_wins() {
    let world = World::new(&["dist/index.html"]);
    world.write("dist/cafe\u{301}.html", "decomposed");
    world.write("dist/caf\u{e9}.html", "composed");
    let site = world.collect(Output::folder("dist")).await.unwrap();
    let path: SitePath = "caf\u{e9}.html".parse().unwrap();
    assert_eq!(fs::read_to_string(&site.locations[&path]).unwrap(), "composed");
    assert_eq!((site.files.len(), site.problems.len()), (2, 1));
}

#[tokio::test]
async fn sizes_over_the_limits_fail_before_anything_is_read() {
    let world = World::new(&["dist/index.html"]);
    let giant = fs::File::create(world.path("dist/giant.bin")).unwrap();
    giant.set_len(6 << 30).unwrap();
    assert!(world.summary("dist").await.contains("`giant.bin` has 6442450944 bytes"));
    giant.set_len(5 << 30).unwrap();
    for n in 0..4 {
        fs::File::create(world.path(&format!("dist/{n}"))).unwrap().set_len(5 << 30).unwrap();
    }
    assert!(world.summary("dist").await.contains("a deployment has at most"));
}

#[tokio::test]
async fn a_stopped_build_stops_reading() {
    let world = World::new(&["dist/index.html"]);
    let stop = CancellationToken::new();
    stop.cancel();
    let ended = collect(world.path(""), PathBuf::new(), Output::folder("dist"), stop).await;
    assert!(matches!(ended, Err(CollectError::Stopped)));
}

#[tokio::test]
async fn rules_behind_links_pipes_and_in_folders_are_not_read() {
    let world = World::new(&["dist/index.html", "secret"]);
    symlink(world.path("secret"), world.path("dist/_redirects")).unwrap();
    symlink(world.path("secret"), world.path("loggia.toml")).unwrap();
    nix::unistd::mkfifo(&world.path("dist/_headers"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.write("dist/netlify.toml/x", "a folder");
    world.write("dist/wrangler.toml/x", "a folder");
    let site = world.collect(Output::folder("dist")).await.unwrap();
    assert_eq!(site.sources, Sources::default());
}

#[tokio::test]
async fn rules_are_read_with_one_byte_more_than_they_may_have() {
    let world = World::new(&["dist/index.html", "loggia.toml"]);
    world.write("dist/_redirects", &"#".repeat(200_000));
    let sources = world.collect(Output::folder("dist")).await.unwrap().sources;
    assert_eq!(sources.redirects.unwrap().len(), 64 * 1024 + 1);
    assert_eq!(sources.loggia_toml.as_deref(), Some(b"loggia.toml".as_slice()));
    world.write("dist/loggia.toml", "nearer");
    let sources = world.collect(Output::folder("dist")).await.unwrap().sources;
    assert_eq!(sources.loggia_toml.as_deref(), Some(b"nearer".as_slice()));
}
