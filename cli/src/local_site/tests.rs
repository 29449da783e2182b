#![allow(clippy::unwrap_used, reason = "a test fails loudly")]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use loggia_types::manifest::Coding;
use loggia_types::rules::Scheme;

use super::*;

struct World {
    dir: tempfile::TempDir,
    site: LocalSite,
}

impl World {
    async fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            write(dir.path(), path, content);
        }
        let site = LocalSite::open(dir.path(), Vec::new(), Effort::Quick).await.unwrap();
        Self { dir, site }
    }

    async fn get(&self, target: &str, headers: &[(&'static str, &str)]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let request = RequestHead {
            method: &Method::GET,
            target: target.as_bytes(),
            headers: &headers,
            scheme: Scheme::Https,
            host: HOST,
            country: None,
        };
        self.site.answer(&policy(Environment::Production), request).await.unwrap()
    }

    fn explored(&self) -> usize {
        self.site.current().known.len()
    }
}

fn write(root: &Path, path: &str, content: &str) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

fn etag(answer: &Answer) -> &str {
    answer.parts.headers["etag"].to_str().unwrap()
}

fn style() -> String {
    (0..400).map(|n| format!(".c{n} {{ color: red }}\n")).collect()
}

#[tokio::test]
async fn only_files_that_an_answer_depends_on_are_read() {
    let world =
        World::new(&[("index.html", "home"), ("about.html", "about"), ("_redirects", "/old /about\n")]).await;
    let redirect = world.get("/old", &[]).await;
    assert_eq!((redirect.parts.status.as_u16(), redirect.rule.as_deref()), (301, Some("_redirects:1")));
    assert_eq!(world.explored(), 0);
    let page = world.get("/about", &[]).await;
    let expected = format!("\"{}\"", &ContentHash::of(b"about").to_hex()[..32]);
    assert_eq!(etag(&page), expected);
    assert_eq!(world.explored(), 1);
}

#[tokio::test]
async fn variants_are_those_of_a_deployment() {
    let (style, noise) = (style(), "x".repeat(1000));
    let files = [("a.css", &*style), ("a.bin", &*style), ("same.css", &*style), ("short.css", &*noise)];
    let world = World::new(&files).await;
    let coding = async |path: &str, accepted: &str| {
        let answer = world.get(path, &[("accept-encoding", accepted)]).await;
        let coding = answer.file.as_ref().and_then(|file| file.coding).map(Coding::as_str);
        (answer.parts.status.as_u16(), coding)
    };
    // The first file with this content has a type that is not compressed, so none of them is.
    assert_eq!(coding("/a.css", "br").await, (200, None));
    std::fs::remove_file(world.dir.path().join("a.bin")).unwrap();
    assert!(matches!(world.site.look_again().await.unwrap(), Look::Changed));
    for accepted in ["br", "zstd", "gzip", "identity;q=0, gzip"] {
        assert_eq!(coding("/same.css", accepted).await, (200, accepted.rsplit(' ').next()));
    }
    assert_eq!(coding("/short.css", "br").await, (200, None));
    assert_eq!(coding("/short.css", "identity;q=0, br").await, (406, None));
    let answer = world.get("/a.css", &[("accept-encoding", "br")]).await;
    let [Piece::Variant { path, hash }] = answer.body.as_slice() else { panic!("{answer:?}") };
    let length = answer.parts.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    assert_eq!(world.site.variant(path, *hash).await.unwrap().len(), length);
    // As if it had been pushed out of the cache.
    world.site.variants.invalidate_all();
    assert_eq!(world.site.variant(path, *hash).await.unwrap().len(), length);
}

#[tokio::test]
async fn changes_are_seen_and_rules_over_a_limit_are_not_taken() {
    let world = World::new(&[("index.html", "one"), ("_redirects", "/a /b 301\n")]).await;
    let before = etag(&world.get("/", &[]).await).to_owned();
    assert!(matches!(world.site.look_again().await.unwrap(), Look::Same));
    write(world.dir.path(), "index.html", "two");
    write(world.dir.path(), "_redirects", "/a /c 302\n/b\n");
    assert!(matches!(world.site.look_again().await.unwrap(), Look::Changed));
    assert_ne!(etag(&world.get("/", &[]).await), before);
    assert_eq!(world.get("/a", &[]).await.parts.headers["location"], "/c");
    let problems: Vec<String> = world.site.problems().iter().map(ToString::to_string).collect();
    assert!(problems.len() == 1 && problems[0].starts_with("_redirects:2: "), "{problems:?}");

    write(world.dir.path(), "_redirects", &format!("/{} /x\n", "a".repeat(3000)));
    write(world.dir.path(), "new.html", "new");
    let Look::Refused(error) = world.site.look_again().await.unwrap() else { panic!("over a limit") };
    assert!(error.to_string().starts_with("_redirects:1: "), "{error}");
    assert_eq!(world.get("/a", &[]).await.parts.headers["location"], "/c");
    assert_eq!(world.get("/new", &[]).await.parts.status, 200);
    let opened = LocalSite::open(world.dir.path(), Vec::new(), Effort::Quick).await;
    assert!(opened.unwrap_err().to_string().starts_with("_redirects:1: "));
}

#[tokio::test]
async fn a_file_that_changed_between_head_and_body_is_not_sent_as_the_old_one() {
    let world = World::new(&[("index.html", "one")]).await;
    world.get("/", &[]).await;
    assert!(world.site.open_file("index.html").is_ok());
    write(world.dir.path(), "index.html", "longer than before");
    assert!(world.site.open_file("index.html").is_err());
    world.site.look_again().await.unwrap();
    assert!(world.site.open_file("index.html").is_ok());
}

#[tokio::test]
async fn rules_of_a_project_may_lie_above_its_output() {
    let world =
        World::new(&[("dist/index.html", "x"), ("netlify.toml", "[[redirects]]\nfrom=\"/a\"\nto=\"/b\"\n")])
            .await;
    let root = world.dir.path().to_owned();
    for (above, rules) in [(vec![], 0), (vec![root.clone()], 1)] {
        let site = LocalSite::open(&root.join("dist"), above, Effort::Quick).await.unwrap();
        assert_eq!(site.rules().rules.redirects.len(), rules);
    }
}
