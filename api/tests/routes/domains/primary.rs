use futures::StreamExt;
use loggia_types::api::{DomainRole, UpdateDomain};
use loggia_types::event::Change;
use loggia_types::route::RedirectStatus;

use super::*;
use crate::world::changes;

const PERMANENT: RedirectStatus = RedirectStatus::Permanent;

async fn set_role(owner: &Owner<'_>, domain: &Domain, role: DomainRole) -> Result<Domain, ClientError> {
    owner.api.update_domain(&slug(owner.project), domain.id, &UpdateDomain { role }).await
}

#[tokio::test]
async fn apex_and_www_and_whichever_is_primary() {
    let (world, names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let added = owner.add_as(&AddDomain { with_www: true, ..new("example.com") }).await.unwrap();
    let (apex, www) = (added.domain, added.with_www.unwrap());
    assert_eq!(www.hostname.as_str(), "www.example.com");
    assert_eq!((apex.is_primary, &apex.role), (true, &DomainRole::Serve));
    assert_eq!((www.is_primary, &www.role), (false, &DomainRole::RedirectToPrimary { status: PERMANENT }));
    assert_eq!(apex.counterpart, Some(hostname("www.example.com")));
    assert!(!apex.actions.contains(&"add_counterpart".to_owned()), "{:?}", apex.actions);

    // Not proven: it is no place to lead anybody to.
    let error = world.api.make_primary_domain(&slug("shop"), www.id).await.unwrap_err();
    assert_eq!(error.code(), Some("domain_not_verified"));
    names.set("TXT", &apex.records[0].name, &[&apex.records[0].value]);
    owner.verify(&apex).await;
    owner.verify(&www).await;
    // The apex leads nowhere, which whoever asks for www must not be made to feel.
    assert_eq!(shown(&world, "www.example.com").await, "serves");
    assert_eq!(shown(&world, "example.com").await, "serves*");
    names.set("A", "example.com", &[ADDRESS]);
    is(&owner.verify(&apex).await, DomainState::Verified);
    assert_eq!(shown(&world, "www.example.com").await, "308 example.com");

    let project = world.api.find_project(&slug("shop")).await.unwrap().unwrap();
    let mut stream = Box::pin(changes(world.edge.events(None).await.unwrap()));
    assert!(matches!(stream.next().await.unwrap().unwrap().change, Change::Reset));
    names.set("CNAME", "www.example.com", &[EDGE]);
    owner.verify(&www).await;
    let www = world.api.make_primary_domain(&slug("shop"), www.id).await.unwrap();
    assert!(www.is_primary);
    assert_eq!(shown(&world, "www.example.com").await, "serves*");
    assert_eq!(shown(&world, "example.com").await, "308 www.example.com");
    let change = stream.next().await.unwrap().unwrap().change;
    assert!(matches!(change, Change::Routes { project_id, .. } if project_id == project.id), "{change:?}");

    // The last one that is left takes over.
    owner.remove(&www).await;
    let apex = owner.get(apex.id).await;
    assert_eq!((apex.is_primary, &apex.role), (true, &DomainRole::Serve));
    assert_eq!(shown(&world, "example.com").await, "serves*");
    assert_eq!(shown(&world, "www.example.com").await, "-");
}

#[tokio::test]
async fn a_typed_www_is_the_primary_one() {
    let (world, _names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let added = owner.add_as(&AddDomain { with_www: true, ..new("www.example.com") }).await.unwrap();
    assert!(added.domain.is_primary);
    assert_eq!(added.with_www.unwrap().hostname.as_str(), "example.com");
    // Said again of one that is there: only what is missing is added.
    owner.remove(&added.domain).await;
    let again = owner.add_as(&AddDomain { with_www: true, ..new("www.example.com") }).await.unwrap();
    assert!(again.with_www.is_none());
    let primary: Vec<bool> = world
        .api
        .list_domains(&slug("shop"))
        .await
        .unwrap()
        .items
        .iter()
        .map(|domain| domain.is_primary)
        .collect();
    assert_eq!(primary, [true, false]);
}

#[tokio::test]
async fn domains_that_only_lead_elsewhere() {
    let (world, names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let main = owner.prove(&names, "example.com").await;
    names.set("A", "example.com", &[ADDRESS]);
    owner.verify(&main).await;
    let old = owner.prove(&names, "old.example.org").await;
    assert_eq!(shown(&world, "old.example.org").await, "308 example.com");
    let to = |name: &str| DomainRole::Redirect { to: hostname(name), status: RedirectStatus::Temporary };
    set_role(&owner, &old, to("docs.example.net")).await.unwrap();
    assert_eq!(shown(&world, "old.example.org").await, "307 docs.example.net");
    assert!(route(&world, "old.example.org").await.unwrap().redirect.unwrap().is_elsewhere);
    set_role(&owner, &old, to("example.com")).await.unwrap();
    assert!(!route(&world, "old.example.org").await.unwrap().redirect.unwrap().is_elsewhere);
    set_role(&owner, &old, DomainRole::Serve).await.unwrap();
    assert_eq!(shown(&world, "old.example.org").await, "serves");

    let error = set_role(&owner, &main, to("example.org")).await.unwrap_err();
    assert_eq!(error.code(), Some("domain_is_primary"));
    let third = owner
        .add_as(&AddDomain { role: Some(to("old.example.org")), ..new("third.example.com") })
        .await
        .unwrap();
    let error = set_role(&owner, &old, to("third.example.com")).await.unwrap_err();
    assert_eq!(error.code(), Some("redirect_circle"));
    assert_eq!(owner.get(old.id).await.role, DomainRole::Serve, "nothing of it remains");
    assert!(!third.domain.is_primary);
}

#[tokio::test]
async fn a_wildcard_is_for_names_that_are_not_there_themselves() {
    let (world, names) = world().await;
    world.project("shop").await;
    world.project("blog").await;
    let (shop, blog) =
        (Owner { api: &world.api, project: "shop" }, Owner { api: &world.api, project: "blog" });
    let wildcard = shop.add("*.example.com").await;
    assert_eq!(wildcard.records[0].name, "_loggia.example.com");
    assert_eq!(wildcard.records[1].name, "*.example.com");
    assert!(!wildcard.is_primary);
    assert_eq!(wildcard.role, DomainRole::Serve);
    let project = world.api.find_project(&slug("shop")).await.unwrap().unwrap();
    let mut stream = Box::pin(changes(world.edge.events(None).await.unwrap()));
    stream.next().await.unwrap().unwrap();
    names.set("TXT", "_loggia.example.com", &[&wildcard.records[0].value]);
    names.set("CNAME", "*.example.com", &[EDGE]);
    is(&shop.verify(&wildcard).await, DomainState::Verified);
    let wildcards = vec![hostname("example.com")];
    let expected = Change::Routes { project_id: project.id, hostnames: Vec::new(), wildcards };
    assert_eq!(stream.next().await.unwrap().unwrap().change, expected);
    for (name, expected) in [
        ("a.example.com", "serves*"),
        ("b.example.com", "serves*"),
        ("example.com", "-"),
        ("a.b.example.com", "-"),
    ] {
        assert_eq!(shown(&world, name).await, expected, "{name}");
    }
    let error = world.api.make_primary_domain(&slug("shop"), wildcard.id).await.unwrap_err();
    assert_eq!(error.code(), Some("wildcard_not_primary"));

    // Another project takes one name of it, and both hear of it.
    let one = blog.add("a.example.com").await;
    blog.verify(&one).await;
    assert_eq!(route(&world, "a.example.com").await.unwrap().slug.as_str(), "blog");
    assert_eq!(route(&world, "b.example.com").await.unwrap().slug.as_str(), "shop");
    let mut told = Vec::new();
    for _ in 0..2 {
        let Change::Routes { project_id, .. } = stream.next().await.unwrap().unwrap().change else {
            panic!()
        };
        told.push(project_id == project.id);
    }
    assert_eq!(told, [true, false]);
    blog.remove(&one).await;
    assert_eq!(route(&world, "a.example.com").await.unwrap().slug.as_str(), "shop");
}
