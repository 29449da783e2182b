use std::collections::BTreeMap;

use loggia_e2e::fleet::{Fleet, slug};
use loggia_e2e::{forge, projects};
use loggia_types::api::{CreateProject, WebhookAnswer};

const REPOSITORY: &str = "https://github.com/Codertocat/Hello-World.git";

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_githubs_documentation_gets_an_answer_and_only_branch_pushes_deploy() {
    let fleet = Fleet::new().await;
    let _api = fleet.start_api().await;
    let project = CreateProject {
        repository_url: Some(REPOSITORY.parse().unwrap()),
        production_branch: Some("master".parse().unwrap()),
        ..CreateProject::new(slug("hello-world"))
    };
    let secret = fleet.api.create_project(&project).await.unwrap().webhook_secret;
    let payloads = projects::github_payloads();
    assert!(payloads.len() > 100, "the package has {} examples", payloads.len());
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (number, (event, payload)) in payloads.iter().enumerate() {
        let ours = payload["repository"]["clone_url"] == REPOSITORY;
        let delivery = format!("example-{number}");
        let response =
            forge::send_event(&fleet.api_url, &secret, event, &delivery, payload.to_string()).await;
        let status = response.status().as_u16();
        match (ours, event.as_str()) {
            (false, _) => assert_eq!(status, 401, "{event}: of another repository, or of none"),
            (true, "ping") => assert_eq!(status, 200),
            (true, _) => assert_eq!(status, 202, "{event}"),
        }
        if ours {
            let answer: WebhookAnswer = response.json().await.unwrap();
            assert!(
                event == "push" || matches!(answer.outcome.as_str(), "ignored" | "pong"),
                "{event}: {answer:?}"
            );
            *outcomes.entry(answer.outcome).or_default() += 1;
        }
    }
    // Two of the pushes are to one branch and the same commit.
    assert_eq!((outcomes["queued"], outcomes["duplicate"]), (1, 1), "{outcomes:?}");
    let deployments = fleet.api.list_deployments(&slug("hello-world"), None).await.unwrap().items;
    assert_eq!(deployments.len(), 1);
    assert_eq!(deployments[0].commit.as_ref().unwrap().short(), "6113728");
}
