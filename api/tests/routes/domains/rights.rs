use super::*;
use crate::world::{Person, new_project};

/// Two people with an organization and a project each.
async fn anna_and_ben(world: &World) -> (Person, Person) {
    let (anna, ben) = (world.person("anna").await, world.person("ben").await);
    anna.api.create_project(&new_project("of-anna")).await.unwrap();
    ben.api.create_project(&new_project("of-ben")).await.unwrap();
    (anna, ben)
}

fn of<'w>(person: &'w Person, project: &'static str) -> Owner<'w> {
    Owner { api: &person.api, project }
}

#[tokio::test]
async fn anybody_may_claim_a_name_and_one_can_have_proved_it() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let (anna, ben) = (of(&anna, "of-anna"), of(&ben, "of-ben"));
    let (annas, bens) = (anna.add("www.example.com").await, ben.add("www.example.com").await);
    assert_ne!(annas.records[0].value, bens.records[0].value);
    // Both proofs are there at once.
    names.set("TXT", "_loggia.www.example.com", &[&annas.records[0].value, &bens.records[0].value]);
    let (annas, bens) = tokio::join!(anna.verify(&annas), ben.verify(&bens));
    let proven = [&annas, &bens].map(|domain| domain.verified_at.is_some());
    assert_ne!(proven[0], proven[1], "{annas:?}\n{bens:?}");
    let other = if proven[0] { &bens } else { &annas };
    assert!(codes(other).contains(&FindingCode::Taken), "{other:?}");
    is(other, DomainState::Pending);
    let (winner, loser) = if proven[0] { ("of-anna", &ben) } else { ("of-ben", &anna) };
    assert_eq!(route(&world, "www.example.com").await.unwrap().slug.as_str(), winner);
    loser.remove(other).await;
    assert_eq!(loser.refused("www.example.com").await, "domain_taken");
}

#[tokio::test]
async fn a_proven_apex_protects_what_is_below_it() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let (anna, ben) = (of(&anna, "of-anna"), of(&ben, "of-ben"));
    // Claimed before the apex was proven.
    let early = ben.add("early.example.com").await;
    anna.prove(&names, "example.com").await;
    for name in ["shop.example.com", "a.b.example.com", "*.example.com", "*.shop.example.com"] {
        assert_eq!(ben.refused(name).await, "domain_protected", "{name}");
    }
    names.set("TXT", "_loggia.early.example.com", &[&early.records[0].value]);
    let looked = ben.verify(&early).await;
    is(&looked, DomainState::Pending);
    assert!(codes(&looked).contains(&FindingCode::Taken), "{looked:?}");
    assert_eq!(shown(&world, "early.example.com").await, "-");
    assert_eq!(ben.refused("example.com").await, "domain_taken");
    // Other names of the same suffix are nobody's business.
    ben.add("example.org").await;
}

#[tokio::test]
async fn a_name_proven_by_itself_protects_its_own_subdomains_and_not_its_siblings() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let (anna, ben) = (of(&anna, "of-anna"), of(&ben, "of-ben"));
    anna.prove(&names, "shop.example.com").await;
    assert_eq!(ben.refused("a.shop.example.com").await, "domain_protected");
    ben.prove(&names, "blog.example.com").await;
    // Who proves the apex later has what is not proven yet.
    ben.prove(&names, "example.com").await;
    assert_eq!(route(&world, "shop.example.com").await.unwrap().slug.as_str(), "of-anna");
    assert_eq!(anna.refused("new.example.com").await, "domain_protected");
}

#[tokio::test]
async fn what_is_given_up_is_kept_for_its_organization() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let owner = anna.api.create_project(&new_project("of-anna-too")).await.unwrap();
    assert_eq!(owner.project.slug.as_str(), "of-anna-too");
    let (first, second) = (of(&anna, "of-anna"), of(&anna, "of-anna-too"));
    let other = of(&ben, "of-ben");
    let domain = first.prove(&names, "www.example.com").await;
    assert_eq!(second.refused("www.example.com").await, "domain_taken");
    // Claimed while it was somebody else's, and proven when it is not any more.
    let claimed = "insert into domains (domain_id, project_id, hostname, verification_token)
                   select '0000000000000009', project_id, 'www.example.com', 'of-ben' from projects where slug = 'of-ben'";
    world.database.connect().await.execute(claimed, &[]).await.unwrap();
    first.remove(&domain).await;
    assert_eq!(shown(&world, "www.example.com").await, "-");
    names.set("TXT", "_loggia.www.example.com", &["loggia-verify=of-ben", &domain.records[0].value]);
    let bens = other.get("0000000000000009".parse().unwrap()).await;
    let looked = other.verify(&bens).await;
    is(&looked, DomainState::Pending);
    assert!(codes(&looked).contains(&FindingCode::Quarantined), "{looked:?}");
    other.remove(&bens).await;
    assert_eq!(other.refused("www.example.com").await, "domain_quarantined");

    // The same organization has it back at once, in any of its projects.
    let again = second.prove(&names, "www.example.com").await;
    assert_eq!(world.count("select count(*) from released_hostnames").await, 0);
    // Also by the end of a whole project.
    anna.api.delete_project(&slug("of-anna-too")).await.unwrap();
    assert!(again.verified_at.is_some());
    assert_eq!(other.refused("www.example.com").await, "domain_quarantined");
    pass(&world, 29 * 24).await;
    assert_eq!(other.refused("www.example.com").await, "domain_quarantined");
    pass(&world, 2 * 24).await;
    other.prove(&names, "www.example.com").await;
    assert_eq!(route(&world, "www.example.com").await.unwrap().slug.as_str(), "of-ben");
}

#[tokio::test]
async fn an_operator_can_hand_over_what_is_kept() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let domain = of(&anna, "of-anna").prove(&names, "www.example.com").await;
    of(&anna, "of-anna").remove(&domain).await;
    let name = "www.example.com".parse().unwrap();
    assert_eq!(ben.api.hand_over_hostname(&name).await.unwrap_err().code(), Some("operators_only"));
    world.api.hand_over_hostname(&name).await.unwrap();
    assert_eq!(world.api.hand_over_hostname(&name).await.unwrap_err().code(), Some("not_found"));
    of(&ben, "of-ben").prove(&names, "www.example.com").await;
}

#[tokio::test]
async fn what_is_lost_for_a_month_is_removed() {
    let (world, names) = world().await;
    let (anna, ben) = anna_and_ben(&world).await;
    let owner = of(&anna, "of-anna");
    let lost = owner.prove(&names, "www.example.com").await;
    let left = owner.prove(&names, "blog.example.com").await;
    let lose =
        "update domains set verified_at = null, lost_at = now() - interval '31 days' where domain_id = $1";
    world.database.connect().await.execute(lose, &[&lost.id.as_str()]).await.unwrap();
    // Whoever has proven it meanwhile keeps it.
    names.set("TXT", "_loggia.www.example.com", &[]);
    of(&ben, "of-ben").prove(&names, "www.example.com").await;
    let mut world = world;
    world.restart().await;
    let owner = Owner { api: &anna.api, project: "of-anna" };
    eventually("it is removed", || async {
        let domains = owner.api.list_domains(&slug("of-anna")).await.ok()?.items;
        (domains.len() == 1 && domains[0].id == left.id && domains[0].is_primary).then_some(())
    })
    .await;
    assert_eq!(route(&world, "www.example.com").await.unwrap().slug.as_str(), "of-ben");
}
