use loggia_types::api::{AddDomain, DomainState};

use crate::world::{World, slug};

fn add(hostname: &str) -> AddDomain {
    AddDomain { hostname: hostname.parse().unwrap() }
}

#[tokio::test]
async fn a_domain_is_pending_with_its_record_until_it_is_proven() {
    let world = World::start().await;
    world.project("shop").await;
    let domain = world.api.add_domain(&slug("shop"), &add("WWW.Example.com")).await.unwrap();
    assert_eq!((domain.hostname.as_str(), domain.state), ("www.example.com", DomainState::Pending));
    assert_eq!(domain.record.name, "_loggia.www.example.com");
    assert!(domain.record.value.starts_with("loggia-verify="));
    assert!(world.edge.route(&domain.hostname).await.unwrap().is_none());
    let again = world.api.add_domain(&slug("shop"), &add("www.example.com")).await.unwrap_err();
    assert_eq!(again.code(), Some("domain_exists"));
    // Another project may claim the name too: only the proof decides.
    world.project("blog").await;
    let other = world.api.add_domain(&slug("blog"), &add("www.example.com")).await.unwrap();
    assert_ne!(other.record.value, domain.record.value);
    world.api.remove_domain(&slug("shop"), domain.id).await.unwrap();
    assert!(world.api.list_domains(&slug("shop")).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn names_that_nobody_can_own_are_refused() {
    let world = World::start().await;
    world.project("shop").await;
    let cases = [
        ("shop.localhost", "domain_of_the_platform"),
        ("localhost", "domain_of_the_platform"),
        ("intranet", "invalid_domain"),
        ("192.0.2.1", "invalid_domain"),
    ];
    for (hostname, code) in cases {
        let error = world.api.add_domain(&slug("shop"), &add(hostname)).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{hostname}");
    }
}

#[tokio::test]
async fn name_servers_that_do_not_answer_are_not_a_missing_record() {
    // Nothing listens there.
    let world = World::start_with(|config| config.dns_resolver = Some(([127, 0, 0, 1], 1).into())).await;
    world.project("shop").await;
    let domain = world.api.add_domain(&slug("shop"), &add("www.example.com")).await.unwrap();
    let error = world.api.verify_domain(&slug("shop"), domain.id).await.unwrap_err();
    assert_eq!(error.code(), Some("dns_unavailable"));
}
