use loggia_e2e::fleet::{Fleet, slug};
use loggia_e2e::{forge, projects};
use loggia_types::api::{CreateProject, DeploymentStatus};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_gets_the_right_answer_and_leaves_nothing_behind() {
    let fleet = Fleet::new().await;
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let source = projects::plain(&[("index.html", "shop"), ("secret/../inside.txt", "x"), (".env", "KEY=1")]);

    // A bad signature, and a repository that nobody has.
    let push = fleet.forge.push("shop", source.path(), "main");
    assert_eq!(forge::send(&fleet.api_url, "not-the-secret-of-shop", &push).await.status(), 401);
    let stranger = fleet.forge.push("stranger", source.path(), "main");
    assert_eq!(forge::send(&fleet.api_url, &project.webhook_secret, &stranger).await.status(), 401);
    assert!(fleet.api.list_deployments(&slug("shop"), None).await.unwrap().items.is_empty());

    // The good one, and the same once more.
    let answer = fleet.forge.deliver(&fleet.api_url, &project.webhook_secret, &push).await;
    let replayed = fleet.forge.deliver(&fleet.api_url, &project.webhook_secret, &push).await;
    assert_eq!((answer.outcome.as_str(), replayed.outcome.as_str()), ("queued", "duplicate"));
    assert_eq!(fleet.ended(&project, answer.deployments[0]).await.status, DeploymentStatus::Live);
    assert_eq!(fleet.api.list_deployments(&slug("shop"), None).await.unwrap().items.len(), 1);

    // Hosts and paths that lead nowhere.
    let unknown = fleet.visitor.get("nobody.localhost", "/").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("nobody.localhost"), "{}", unknown.body);
    for target in
        ["/../index.html", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/a/..%5c..%5cx", "/%00"]
    {
        let head = format!("GET {target} HTTP/1.1\r\nHost: shop.localhost\r\nConnection: close\r\n\r\n");
        let status = fleet.visitor.raw(head.as_bytes()).await;
        assert!(matches!(status, 400 | 404), "{target} gave {status}");
    }
    assert_eq!(fleet.visitor.get("shop.localhost", "/.env").await.status, 404);
    let two_hosts = b"GET / HTTP/1.1\r\nHost: shop.localhost\r\nHost: other.localhost\r\n\r\n";
    assert_eq!(fleet.visitor.raw(two_hosts).await, 400);

    // A slug that is taken.
    let taken = CreateProject::new(slug("shop"));
    assert_eq!(fleet.api.create_project(&taken).await.unwrap_err().code(), Some("slug_taken"));
    assert_eq!(fleet.api.list_projects(None).await.unwrap().items.len(), 1);
}
