use loggia_types::api::{FindingLevel, Pointing, ProofSeen, RecordType};

use super::*;
use crate::name_server::Mood;

#[tokio::test]
async fn a_domain_is_told_what_is_wrong_until_it_is_proven_and_leads_here() {
    let (world, names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let domain = owner.add("WWW.Example.com").await;
    assert_eq!(domain.hostname.as_str(), "www.example.com");
    is(&domain, DomainState::Pending);
    let [proof, pointer] = domain.records.as_slice() else { panic!("{:?}", domain.records) };
    assert_eq!((proof.kind, proof.name.as_str()), (RecordType::Txt, "_loggia.www.example.com"));
    assert!(proof.value.starts_with("loggia-verify="), "{proof:?}");
    let pointer_is = (pointer.kind, pointer.name.as_str(), pointer.value.as_str());
    assert_eq!(pointer_is, (RecordType::Cname, "www.example.com", EDGE));
    assert_eq!(owner.refused("www.example.com").await, "domain_exists");
    // It is looked at without being asked.
    let looked = eventually("it is looked at", || async {
        Some(owner.get(domain.id).await).filter(|domain| domain.diagnosis.is_some())
    })
    .await;
    assert_eq!(codes(&looked)[..2], [FindingCode::ProofMissing, FindingCode::NotPointing]);
    assert!(looked.next_check_at.is_some());

    names.set("TXT", "_loggia.www.example.com.example.com", &[&proof.value]);
    let looked = owner.verify(&domain).await;
    assert_eq!(codes(&looked)[0], FindingCode::ProofNameDoubled);
    names.set("TXT", &proof.name, &["loggia-verify=something"]);
    let looked = owner.verify(&domain).await;
    assert_eq!(codes(&looked)[0], FindingCode::ProofOtherValue);
    assert!(
        diagnosis(&looked).seen.iter().any(|record| record.value == "loggia-verify=something"),
        "{looked:?}"
    );
    is(&looked, DomainState::Pending);
    assert_eq!(shown(&world, "www.example.com").await, "-");

    names.set("TXT", &proof.name, &["loggia-verify=something", &proof.value]);
    names.set("A", "www.example.com", &["198.51.100.7"]);
    let proven = owner.verify(&domain).await;
    is(&proven, DomainState::Misconfigured);
    assert_eq!(
        codes(&proven),
        [FindingCode::ProofFound, FindingCode::AddressElsewhere, FindingCode::ChangeTakesTime]
    );
    assert!(proven.records[0].is_seen && !proven.records[1].is_seen);
    // Whoever asks for it here gets it all the same.
    assert_eq!(shown(&world, "www.example.com").await, "serves*");

    names.set("A", "www.example.com", &[]);
    names.set("A", EDGE, &[ADDRESS]);
    names.set("CNAME", "www.example.com", &[EDGE]);
    let verified = owner.verify(&domain).await;
    is(&verified, DomainState::Verified);
    assert_eq!(codes(&verified), [FindingCode::ProofFound, FindingCode::PointsHere]);
    assert!(verified.records.iter().all(|record| record.is_seen));
    assert_eq!(verified.actions, ["verify", "add_counterpart", "remove"]);
    let audited = "select count(*) from audit_log where target = 'www.example.com' and actor = 'platform'
                   and action = 'domain.verify'";
    assert_eq!(world.count(audited).await, 1);
}

#[tokio::test]
async fn a_proof_at_the_apex_proves_what_is_below_without_being_asked() {
    let (world, names) = world().await;
    world.project("shop").await;
    world.project("blog").await;
    let (shop, blog) =
        (Owner { api: &world.api, project: "shop" }, Owner { api: &world.api, project: "blog" });
    let apex = shop.prove(&names, "example.com").await;
    // Of another project of the same organization.
    let below = blog.add("deep.down.example.com").await;
    assert_eq!(below.records[0].value, apex.records[0].value, "one value for the whole organization");
    eventually("it is proven", || async { route(&world, "deep.down.example.com").await }).await;
    let below = blog.get(below.id).await;
    assert_eq!(codes(&below)[0], FindingCode::ProofFound);
    assert!(diagnosis(&below).findings[0].message.contains("_loggia.example.com"), "{below:?}");
}

#[tokio::test]
async fn name_servers_that_do_not_answer_say_nothing() {
    let (world, names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let domain = owner.prove(&names, "www.example.com").await;
    for mood in [Mood::Broken, Mood::Silent] {
        names.be(mood);
        pass(&world, 30 * 24).await;
        let asked = std::time::Instant::now();
        let looked = owner.verify(&domain).await;
        println!("{mood:?}: {:?}", asked.elapsed());
        assert!(asked.elapsed() < Duration::from_secs(15), "a person waits for it");
        is(&looked, DomainState::Misconfigured);
        assert_eq!(diagnosis(&looked).proof, ProofSeen::Unknown);
        assert!(
            diagnosis(&looked).findings.iter().all(|finding| finding.level == FindingLevel::Unknown),
            "{looked:?}"
        );
    }
    assert_eq!(world.count("select sum(proof_misses)::bigint from domains").await, 0);
    assert_eq!(shown(&world, "www.example.com").await, "serves*");
    // Nothing listens there.
    let world = World::start_with(|config| config.dns_resolver = Some(([127, 0, 0, 1], 1).into())).await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let looked = owner.verify(&owner.add("www.example.com").await).await;
    assert_eq!(diagnosis(&looked).proof, ProofSeen::Unknown);
    assert_eq!(diagnosis(&looked).pointing, Pointing::Unknown);
}

#[tokio::test]
async fn a_proof_that_is_gone_for_days_loses_the_domain_and_one_that_is_back_restores_it() {
    let (world, names) = world().await;
    let anna = world.person("anna").await;
    anna.api.create_project(&crate::world::new_project("shop")).await.unwrap();
    let owner = Owner { api: &anna.api, project: "shop" };
    let domain = owner.prove(&names, "www.example.com").await;
    let proof = &domain.records[0];
    names.set("TXT", &proof.name, &[]);
    for _ in 0..3 {
        let looked = owner.verify(&domain).await;
        assert!(looked.verified_at.is_some(), "three looks in some seconds are not days");
        pass(&world, 1).await;
    }
    pass(&world, 46).await;
    // Nobody asks: it is due by itself.
    eventually("it is lost", || async { route(&world, "www.example.com").await.is_none().then_some(()) })
        .await;
    let lost = owner.get(domain.id).await;
    is(&lost, DomainState::Lost);
    assert!(lost.lost_at.is_some() && lost.verified_at.is_none());
    assert_eq!(world.count("select count(*) from audit_log where action = 'domain.lose'").await, 1);
    let told =
        "select count(*) from mail_outbox where recipient = 'anna@example.org' and kind = 'domain_lost'";
    assert_eq!(world.count(told).await, 1);
    let held =
        "select count(*) from released_hostnames where hostname = 'www.example.com' and reason = 'lost'";
    assert_eq!(world.count(held).await, 1);

    names.set("TXT", &proof.name, &[&proof.value]);
    let back = owner.verify(&domain).await;
    is(&back, DomainState::Misconfigured);
    assert!(back.is_primary && back.lost_at.is_none());
    assert_eq!(shown(&world, "www.example.com").await, "serves*");
    assert_eq!(world.count(held).await, 0);
}

#[tokio::test]
async fn who_asks_too_often_is_told_so() {
    let (world, _names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    let domain = owner.add("www.example.com").await;
    owner.verify(&domain).await;
    let error = world.api.verify_domain(&slug("shop"), domain.id).await.unwrap_err();
    assert_eq!(error.code(), Some("checked_just_now"));
}

#[tokio::test]
async fn a_domain_that_is_removed_while_it_is_looked_at_stays_away() {
    let (world, names) = world().await;
    world.project("shop").await;
    let owner = Owner { api: &world.api, project: "shop" };
    // The look that adding starts must not be the one that is watched.
    names.be(Mood::Slow);
    let domain = owner.add("www.example.com").await;
    names.set("TXT", &domain.records[0].name, &[&domain.records[0].value]);
    let verifying = async { world.api.verify_domain(&slug("shop"), domain.id).await };
    let removing = async {
        eventually("the look has begun", || async {
            (world.count("select count(*) from domains where asked_at is not null").await == 1).then_some(())
        })
        .await;
        owner.remove(&domain).await;
        names.release();
    };
    let (verified, ()) = tokio::join!(verifying, removing);
    assert_eq!(verified.unwrap_err().code(), Some("not_found"));
    assert_eq!(world.count("select count(*) from domains").await, 0);
    assert_eq!(shown(&world, "www.example.com").await, "-");
    assert_eq!(world.count("select count(*) from released_hostnames").await, 0, "it was never proven");
}
