use loggia_types::api::{CreateDeployment, Deployment, DeploymentStatus, Promote};
use loggia_types::manifest::{Coding, HtmlHandling};
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentRef, Manifest, ProjectSlug};

use crate::world::{ADMIN, World, slug};

fn files(list: &[(&str, &str)]) -> Vec<SiteFile> {
    list.iter()
        .map(|(path, content)| SiteFile {
            path: path.parse().unwrap(),
            hash: ContentHash::of(content.as_bytes()),
            size: content.len() as u64,
        })
        .collect()
}

fn upload(list: &[(&str, &str)], alias: Option<&str>) -> CreateDeployment {
    CreateDeployment::Upload {
        files: files(list),
        alias: alias.map(|alias| alias.parse().unwrap()),
        message: String::new(),
    }
}

/// Uploads what is missing and finishes. Gives the deployment and how many contents were sent.
async fn deploy(
    world: &World,
    slug: &ProjectSlug,
    list: &[(&str, &str)],
    alias: Option<&str>,
) -> (Deployment, usize) {
    let started = world.api.start_upload(slug, &upload(list, alias)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for hash in &started.missing {
        let (_, content) =
            list.iter().find(|(_, content)| ContentHash::of(content.as_bytes()) == *hash).unwrap();
        let file = folder.path().join("content");
        std::fs::write(&file, content).unwrap();
        world.api.upload_file(slug, started.id, *hash, &file).await.unwrap();
    }
    (world.api.finish_upload(slug, started.id).await.unwrap(), started.missing.len())
}

#[tokio::test]
async fn an_upload_sends_only_what_changed_and_appears_whole() {
    let world = World::start().await;
    let shop = slug("shop");
    let project = world.project("shop").await.project;
    let (one, sent) =
        deploy(&world, &shop, &[("index.html", "1"), ("a.css", "a"), ("b.css", "a")], None).await;
    assert_eq!((one.status, sent), (DeploymentStatus::Live, 2), "one content at two paths is sent once");
    let (two, sent) =
        deploy(&world, &shop, &[("index.html", "2"), ("a.css", "a"), ("b.css", "a")], None).await;
    assert_eq!((two.status, sent), (DeploymentStatus::Live, 1));
    assert_eq!(two.counts.unwrap().reused, 2);
    let keys = world.store.list_keys(&format!("{}/{}/", project.id, two.id)).await.unwrap();
    assert_eq!(keys.len(), 2, "the changed file and the manifest: {keys:?}");
    let deployment = DeploymentRef { project_id: project.id, deployment_id: two.id };
    let manifest = world.store.find_manifest(deployment).await.unwrap().unwrap();
    assert_eq!(manifest.find("a.css").unwrap().folder().deployment_id(), one.id);
    // Finishing again changes nothing.
    assert_eq!(world.api.finish_upload(&shop, two.id).await.unwrap().status, DeploymentStatus::Live);
}

#[tokio::test]
async fn an_upload_cannot_be_finished_before_everything_is_there() {
    let world = World::start().await;
    let shop = slug("shop");
    let project = world.project("shop").await.project;
    let started = world.api.start_upload(&shop, &upload(&[("index.html", "1")], None)).await.unwrap();
    assert_eq!(world.api.finish_upload(&shop, started.id).await.unwrap_err().code(), Some("files_missing"));
    let put = |hash: String, body: &'static str| {
        let url = format!("{}/api/v1/projects/shop/deployments/{}/files/{hash}", world.url, started.id);
        let request = world.http.put(url).bearer_auth(ADMIN).body(body);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let announced = ContentHash::of(b"1").to_hex();
    assert_eq!(put(announced.clone(), "2").await, 422, "another content");
    assert_eq!(put(announced.clone(), "11").await, 413, "more than announced");
    assert_eq!(put(ContentHash::of(b"x").to_hex(), "x").await, 404, "never announced");
    assert_eq!(put("..%2f..%2fx".into(), "x").await, 404, "no hash at all");
    assert_eq!(world.store.list_keys("").await.unwrap(), Vec::<String>::new());
    assert_eq!(put(announced.clone(), "1").await, 204);
    assert_eq!(put(announced, "1").await, 204, "again");
    let deployment = world.api.finish_upload(&shop, started.id).await.unwrap();
    assert_eq!(world.store.list_keys(&format!("{}/", project.id)).await.unwrap().len(), 2);
    assert_eq!(deployment.status, DeploymentStatus::Live);
}

#[tokio::test]
async fn paths_that_are_no_paths_are_refused_by_name() {
    let world = World::start().await;
    world.project("shop").await;
    for path in ["../x", "/etc/passwd", "a//b", "a\\b", ".loggia/manifest", ""] {
        let body = serde_json::json!({"source": "upload", "files": [
            {"path": path, "sha256": ContentHash::of(b"x"), "size": 1}
        ]});
        let url = format!("{}/api/v1/projects/shop/deployments", world.url);
        let response = world.http.post(url).bearer_auth(ADMIN).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 422, "{path:?}");
    }
    let error =
        world.api.start_upload(&slug("shop"), &upload(&[("a", "1"), ("a", "2")], None)).await.unwrap_err();
    assert_eq!(error.code(), Some("duplicate_path"));
    let error = world.api.start_upload(&slug("shop"), &upload(&[], None)).await.unwrap_err();
    assert_eq!(error.code(), Some("no_files"));
    assert_eq!(world.count("select count(*) from deployments").await, 0);
}

#[tokio::test]
async fn roll_back_and_promote_move_the_pointer_and_say_when_they_cannot() {
    let world = World::start().await;
    let shop = slug("shop");
    world.project("shop").await;
    let (one, _) = deploy(&world, &shop, &[("index.html", "1")], None).await;
    let nothing = world.api.roll_back(&shop).await.unwrap_err();
    assert_eq!(nothing.code(), Some("nothing_to_roll_back_to"));
    let (two, _) = deploy(&world, &shop, &[("index.html", "2")], None).await;
    assert_eq!(world.api.get_deployment(&shop, one.id).await.unwrap().status, DeploymentStatus::Superseded);
    assert_eq!(world.api.roll_back(&shop).await.unwrap().id, one.id);
    let promoted = world.api.promote(&shop, &Promote { deployment_id: two.id, alias: None }).await.unwrap();
    assert_eq!((promoted.id, promoted.status), (two.id, DeploymentStatus::Live));
    assert!(promoted.actions.is_empty());
    let unfinished = world.api.start_upload(&shop, &upload(&[("index.html", "3")], None)).await.unwrap();
    let refused =
        world.api.promote(&shop, &Promote { deployment_id: unfinished.id, alias: None }).await.unwrap_err();
    assert_eq!(refused.code(), Some("deployment_not_ready"));
}

#[tokio::test]
async fn a_deployment_of_another_project_looks_like_none() {
    let world = World::start().await;
    world.project("shop").await;
    world.project("blog").await;
    let (one, _) = deploy(&world, &slug("shop"), &[("index.html", "1")], None).await;
    let blog = slug("blog");
    let stranger = world.api.get_deployment(&blog, one.id).await.unwrap_err();
    let nobody = world.api.get_deployment(&blog, "0000000000000000".parse().unwrap()).await.unwrap_err();
    assert_eq!((stranger.code(), nobody.code()), (Some("not_found"), Some("not_found")));
    let promote =
        world.api.promote(&blog, &Promote { deployment_id: one.id, alias: None }).await.unwrap_err();
    assert_eq!(promote.code(), Some("not_found"));
}

async fn manifest(world: &World, deployment: &Deployment) -> Manifest {
    let project_id = world.api.find_project(&deployment.project).await.unwrap().unwrap().id;
    let deployment = DeploymentRef { project_id, deployment_id: deployment.id };
    world.store.find_manifest(deployment).await.unwrap().unwrap()
}

#[tokio::test]
async fn compressed_forms_are_made_once_and_go_with_their_content_wherever_it_moves() {
    let world = World::start().await;
    let shop = slug("shop");
    let project = world.project("shop").await.project;
    let script = "const answer = 42;\n".repeat(500);
    let page = "<link rel=modulepreload href=/app.js>";
    let first = [("app.js", &*script), ("assets/app-3f2a91bc.js", &script), ("index.html", page)];
    let (one, sent) = deploy(&world, &shop, &first, None).await;
    assert_eq!((sent, one.counts.unwrap().uploaded), (2, 3), "one content at two paths is sent once");
    let stored = manifest(&world, &one).await;
    let copy = stored.find("assets/app-3f2a91bc.js").unwrap();
    assert_eq!(copy.source_path(), "app.js");
    assert_eq!(copy.variants().map(|variant| variant.coding).collect::<Vec<_>>(), Coding::ALL);
    for variant in copy.variants() {
        let bytes = world.store.find_start(&copy.variant_key(variant.coding), usize::MAX).await.unwrap();
        assert_eq!(ContentHash::of(&bytes.unwrap()), variant.hash);
    }
    assert_eq!(stored.find("index.html").unwrap().link(), Some("</app.js>; rel=modulepreload"));

    let (two, sent) = deploy(&world, &shop, &[("moved.js", &script), ("index.html", page)], None).await;
    assert_eq!((sent, two.counts.unwrap().reused), (0, 2));
    let stored = manifest(&world, &two).await;
    assert_eq!(stored.find("moved.js").unwrap().variants().count(), 3);
    assert_eq!(stored.find("index.html").unwrap().link(), Some("</app.js>; rel=modulepreload"));
    let keys = world.store.list_keys(&format!("{}/{}/", project.id, two.id)).await.unwrap();
    assert_eq!(keys.len(), 1, "the manifest: {keys:?}");
    let (retired, gone) = stored.find_retired("assets/app-3f2a91bc.js").unwrap();
    assert_eq!(
        (retired.source_path(), retired.variants().count(), gone.deployment_id),
        ("app.js", 3, one.id)
    );
}

#[tokio::test]
async fn rules_are_compiled_when_an_upload_is_finished_and_their_problems_are_told() {
    let world = World::start().await;
    let shop = slug("shop");
    world.project("shop").await;
    let settings = "[serve]\nhtml_handling = \"none\"\nskew_protection = { deployments = 0 }";
    let redirects = "/old /new 301\n/bad";
    let list = [("index.html", "1"), ("_redirects", redirects), ("loggia.toml", settings)];
    let (one, _) = deploy(&world, &shop, &list, None).await;
    let places: Vec<_> = one.problems.iter().map(|problem| (problem.file.as_str(), problem.line)).collect();
    assert_eq!(places, [("_redirects", Some(2))], "{:?}", one.problems);
    let stored = manifest(&world, &one).await;
    assert_eq!(stored.facts().html_handling, HtmlHandling::None);
    assert_eq!(stored.rules().redirects.len(), 1);
    assert_eq!(stored.facts().problems, one.problems);
    // Unchanged files are read where they lie, in the folder of the deployment before.
    let list = [("index.html", "2"), ("_redirects", redirects), ("loggia.toml", settings)];
    let (two, sent) = deploy(&world, &shop, &list, None).await;
    assert_eq!(sent, 1);
    assert_eq!(manifest(&world, &two).await.rules(), stored.rules());
    assert_eq!(world.api.get_deployment(&shop, two.id).await.unwrap().problems, one.problems);
}

#[tokio::test]
async fn rules_over_a_limit_fail_the_deployment_for_good_and_name_the_line() {
    let world = World::start().await;
    let shop = slug("shop");
    world.project("shop").await;
    let (one, _) = deploy(&world, &shop, &[("index.html", "1")], None).await;
    let redirects = format!("/a /b\n/{} /x", "a".repeat(3000));
    let list = [("index.html", "1"), ("_redirects", redirects.as_str())];
    let started = world.api.start_upload(&shop, &upload(&list, None)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content");
    std::fs::write(&file, &redirects).unwrap();
    world.api.upload_file(&shop, started.id, started.missing[0], &file).await.unwrap();
    for _ in 0..2 {
        let error = world.api.finish_upload(&shop, started.id).await.unwrap_err();
        assert_eq!(error.code(), Some("rules_refused"));
        assert!(error.to_string().contains("_redirects:2: "), "{error}");
    }
    let failed = world.api.get_deployment(&shop, started.id).await.unwrap();
    assert_eq!(failed.status, DeploymentStatus::Failed);
    assert!(failed.failure.unwrap().reason.starts_with("_redirects:2: "));
    assert_eq!(world.count("select count(*) from upload_files").await, 0);
    assert_eq!(world.api.get_deployment(&shop, one.id).await.unwrap().status, DeploymentStatus::Live);
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_was() {
    let world = World::start().await;
    let shop = slug("shop");
    world.project("shop").await;
    let script = "const answer = 42;\n".repeat(500);
    let list = [("app.js", &*script), ("index.html", "1"), ("_redirects", "/bad")];
    let started = world.api.start_upload(&shop, &upload(&list, None)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content");
    let send = async |content: &str| {
        std::fs::write(&file, content).unwrap();
        world.api.upload_file(&shop, started.id, ContentHash::of(content.as_bytes()), &file).await.unwrap();
    };
    send(&script).await;
    // The api ended between the store and its database: it does not know of the content and takes it again.
    let database = world.database.connect().await;
    let forget = "update upload_files set stored_at = null, variants = '[]' where path = 'app.js'";
    database.execute(forget, &[]).await.unwrap();
    for content in [&script, "1", "/bad"] {
        send(content).await;
    }
    let finished = world.api.finish_upload(&shop, started.id).await.unwrap();
    assert_eq!(finished.problems.len(), 1);
    assert_eq!(manifest(&world, &finished).await.find("app.js").unwrap().variants().count(), 3);
    // It ended between the manifest and its database: what the manifest says is what is told.
    let unfinish = "update deployments set state = 'deploying', finished_at = null, problems = '[]'";
    database.execute(unfinish, &[]).await.unwrap();
    let again = world.api.finish_upload(&shop, started.id).await.unwrap();
    assert_eq!((again.status, again.problems), (DeploymentStatus::Live, finished.problems));
}

#[tokio::test]
async fn a_size_that_is_not_the_content_s_is_refused() {
    let world = World::start().await;
    let shop = slug("shop");
    world.project("shop").await;
    let mut wrong = files(&[("index.html", "1")]);
    wrong[0].size = 5;
    let body = CreateDeployment::Upload { files: wrong, alias: None, message: String::new() };
    let started = world.api.start_upload(&shop, &body).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("content");
    std::fs::write(&file, "1").unwrap();
    let error = world.api.upload_file(&shop, started.id, started.missing[0], &file).await.unwrap_err();
    assert_eq!(error.code(), Some("hash_mismatch"));
}
