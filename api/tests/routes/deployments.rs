use loggia_types::api::{CreateDeployment, Deployment, DeploymentStatus, Promote};
use loggia_types::publish::SiteFile;
use loggia_types::{ContentHash, DeploymentRef, ProjectSlug};

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
