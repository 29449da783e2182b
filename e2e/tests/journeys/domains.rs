use loggia_e2e::dns::NameServer;
use loggia_e2e::fleet::{Fleet, SOON, slug};
use loggia_e2e::{eventually, projects};
use loggia_types::api::{AddDomain, DeploymentStatus, DomainState};

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_served_once_its_zone_proves_it_and_unknown_after_its_removal() {
    let mut fleet = Fleet::new().await;
    let mut names = NameServer::start(fleet.dir.path());
    fleet.set("LOGGIA_DNS_RESOLVER", names.address());
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let _builder = fleet.start_builder("builder");
    let project = fleet.project("shop").await;
    let id = fleet.push(&project, projects::plain(&[("index.html", "my shop")]).path(), "main").await;
    assert_eq!(fleet.ended(&project, id).await.status, DeploymentStatus::Live);

    let host = "www.example.com";
    let domain =
        fleet.api.add_domain(&slug("shop"), &AddDomain { hostname: host.parse().unwrap() }).await.unwrap();
    let refused = async |word: &str| {
        let error = eventually("the name server answers", SOON, || async {
            let error = fleet.api.verify_domain(&slug("shop"), domain.id).await.unwrap_err();
            (error.code() != Some("dns_unavailable")).then_some(error)
        })
        .await;
        assert_eq!(error.code(), Some("domain_not_verified"), "{error}");
        assert!(
            error.to_string().contains(word) && error.to_string().contains(&domain.record.value),
            "{error}"
        );
        assert_eq!(fleet.visitor.get(host, "/").await.status, 404);
    };
    refused("no such record").await;
    names.set_txt(fleet.dir.path(), &[(&domain.record.name, "loggia-verify=something-else")]);
    refused("something-else").await;

    names.set_txt(fleet.dir.path(), &[(&domain.record.name, &domain.record.value)]);
    let verified = eventually("the record is seen", SOON, || async {
        fleet.api.verify_domain(&slug("shop"), domain.id).await.ok()
    })
    .await;
    assert_eq!(verified.state, DomainState::Verified);
    let page = eventually("the domain is served", SOON, || fleet.visitor.try_get(host, "/")).await;
    assert_eq!((page.body.as_str(), page.header("x-robots-tag")), ("my shop", ""));

    fleet.api.remove_domain(&slug("shop"), domain.id).await.unwrap();
    eventually("the domain is forgotten", SOON, || async {
        (fleet.visitor.get(host, "/").await.status == 404).then_some(())
    })
    .await;
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "my shop");
}
