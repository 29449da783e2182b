use std::time::Duration;

use loggia_e2e::dns::NameServer;
use loggia_e2e::eventually;
use loggia_e2e::fleet::{Fleet, SOON, slug};
use loggia_types::api::{
    AddDomain, CreateProject, Domain, DomainRole, DomainState, FindingCode, FindingLevel, UpdateDomain,
};
use loggia_types::{DomainId, DomainName, Hostname};

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn add(text: &str) -> AddDomain {
    AddDomain { hostname: name(text), with_www: false, role: None }
}

/// A project's domains, and the zones that they lie in.
struct Owner<'f> {
    fleet: &'f Fleet,
    names: NameServer,
    records: Vec<String>,
}

impl Owner<'_> {
    fn set(&mut self, record: &str) {
        self.records.push(record.to_owned());
        self.names.set(&self.records);
    }

    fn unset(&mut self, record: &str) {
        let before = self.records.len();
        self.records.retain(|known| !known.starts_with(record));
        assert!(self.records.len() < before, "there is no {record} in {:?}", self.records);
        self.names.set(&self.records);
    }

    /// Looks now, and again until something of it is so: a name server that has just started may not answer at once.
    async fn look(&self, id: DomainId, what: &str, is: impl Fn(&Domain) -> bool) -> Domain {
        eventually(what, SOON, || async {
            let domain = match self.fleet.api.verify_domain(&slug("shop"), id).await {
                Ok(domain) => domain,
                Err(error) if error.code() == Some("checked_just_now") => {
                    self.fleet.api.get_domain(&slug("shop"), id).await.unwrap()
                }
                Err(error) => panic!("{error}"),
            };
            is(&domain).then_some(domain)
        })
        .await
    }

    /// Waits until it is told so, and gives the words.
    async fn told(&self, id: DomainId, code: FindingCode) -> String {
        let domain = self.look(id, &format!("{code:?}"), |domain| message(domain, code).is_some()).await;
        message(&domain, code).unwrap()
    }

    async fn is(&self, id: DomainId, state: DomainState) -> Domain {
        self.look(id, &format!("it is {state:?}"), |domain| domain.state == state).await
    }

    /// `200 body`, or `308 location`.
    async fn seen(&self, host: &str, path: &str) -> String {
        let answer = self.fleet.visitor.get(host, path).await;
        let shown = if answer.header("location").is_empty() {
            answer.body.clone()
        } else {
            answer.header("location").to_owned()
        };
        format!("{} {}", answer.status, shown.trim())
    }

    async fn shows(&self, host: &str, path: &str, expected: &str) {
        eventually(&format!("{host}{path} is {expected}"), SOON, || async {
            (self.seen(host, path).await == expected).then_some(())
        })
        .await;
    }

    async fn shows_nothing(&self, host: &str) {
        eventually(&format!("{host} is nobody's"), SOON, || async {
            (self.fleet.visitor.get(host, "/").await.status == 404).then_some(())
        })
        .await;
    }

    /// As if so many hours had gone by since everything that happened.
    async fn pass(&self, hours: u32) {
        let sql = format!(
            "update domains set asked_at = asked_at - interval '{hours} hours',
                    checked_at = checked_at - interval '{hours} hours',
                    next_check_at = next_check_at - interval '{hours} hours',
                    proof_missing_since = proof_missing_since - interval '{hours} hours',
                    watched_since = watched_since - interval '{hours} hours'"
        );
        self.fleet.sql(&sql).await;
    }
}

fn message(domain: &Domain, code: FindingCode) -> Option<String> {
    let findings = &domain.diagnosis.as_ref()?.findings;
    findings.iter().find(|finding| finding.code == code).map(|finding| finding.message.clone())
}

/// Wrong record diagnosed in words, proven, served, apex and www, lost, quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_a_domain() {
    let mut fleet = Fleet::new().await;
    let names = NameServer::start(fleet.dir.path());
    fleet.set("LOGGIA_DNS_RESOLVER", names.address());
    fleet.set("LOGGIA_EDGE_CNAME", "edge.example.net");
    fleet.set("LOGGIA_EDGE_ADDRESSES", "127.0.0.1");
    let (_api, _edge) = (fleet.start_api().await, fleet.start_edge().await);
    let project = fleet.project("shop").await;
    fleet.upload(&project, &[("index.html", "my shop"), ("a.txt", "a")], None).await;
    let mut owner = Owner { fleet: &fleet, names, records: vec!["A edge.example.net 127.0.0.1".into()] };
    owner.set("A ns.example.com 127.0.0.1");

    // Added, with what to put where.
    let added = AddDomain { with_www: true, ..add("example.com") };
    let added = fleet.api.add_domain(&slug("shop"), &added).await.unwrap();
    let (apex, www) = (added.domain, added.with_www.unwrap());
    let proof = apex.records[0].clone();
    assert_eq!(proof.name, "_loggia.example.com");
    assert_eq!((apex.records[1].name.as_str(), apex.records[1].value.as_str()), ("example.com", "127.0.0.1"));
    assert_eq!(
        (www.records[1].name.as_str(), www.records[1].value.as_str()),
        ("www.example.com", "edge.example.net")
    );
    assert!(apex.is_primary && matches!(www.role, DomainRole::RedirectToPrimary { .. }));

    // Wrong records, diagnosed in words.
    let words = owner.told(apex.id, FindingCode::ProofMissing).await;
    assert_eq!(
        words,
        format!(
            "There is no TXT record at _loggia.example.com yet. Add one with the value {}; in many panels its name is entered \
             as _loggia.",
            proof.value
        )
    );
    owner.set(&format!("TXT _loggia.example.com.example.com {}", proof.value));
    let words = owner.told(apex.id, FindingCode::ProofNameDoubled).await;
    assert!(words.contains("Enter _loggia as the record's name"), "{words}");
    owner.unset("TXT _loggia.example.com.example.com");
    owner.set("TXT _loggia.example.com loggia-verify=somebody-else");
    let words = owner.told(apex.id, FindingCode::ProofOtherValue).await;
    assert!(words.contains("«loggia-verify=somebody-else»") && words.contains(&proof.value), "{words}");
    owner.shows_nothing("example.com").await;

    // Proven, one beside the other value, and both names by it; but they lead elsewhere.
    owner.set(&format!("TXT _loggia.example.com {}", proof.value));
    owner.is(apex.id, DomainState::Misconfigured).await;
    owner.is(www.id, DomainState::Misconfigured).await;
    let words = owner.told(www.id, FindingCode::NotPointing).await;
    assert!(words.contains("add a CNAME record with the value edge.example.net"), "{words}");
    owner.set("A example.com 198.51.100.7");
    let words = owner.told(apex.id, FindingCode::AddressElsewhere).await;
    assert!(words.contains("198.51.100.7") && words.contains("127.0.0.1"), "{words}");

    // Served, and as long as the primary one leads elsewhere nobody is sent there.
    owner.shows("www.example.com", "/", "200 my shop").await;
    owner.unset("A example.com");
    owner.set("A example.com 127.0.0.1");
    owner.set("CNAME www.example.com edge.example.net");
    owner.is(apex.id, DomainState::Verified).await;
    let verified = owner.is(www.id, DomainState::Verified).await;
    assert!(verified.records.iter().all(|record| record.is_seen), "{verified:?}");
    owner.shows("www.example.com", "/a.txt?x=1&y=%20", "308 http://example.com/a.txt?x=1&y=%20").await;
    owner.shows("example.com", "/", "200 my shop").await;
    assert_eq!(fleet.visitor.get("example.com", "/").await.header("x-robots-tag"), "");
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.header("x-robots-tag"), "noindex");
    let with_port = format!("www.example.com:{}", fleet.edge_port());
    let location = format!("308 http://example.com:{}/", fleet.edge_port());
    owner.shows(&with_port, "/", &location).await;

    // The other one is primary now.
    fleet.api.make_primary_domain(&slug("shop"), www.id).await.unwrap();
    owner.shows("example.com", "/a.txt?x", "308 http://www.example.com/a.txt?x").await;
    owner.shows("www.example.com", "/a.txt?x", "200 a").await;
    assert_eq!(fleet.visitor.get("www.example.com", "/").await.header("x-robots-tag"), "");

    // A wildcard, and a name that only leads.
    owner.shows_nothing("anything.example.com").await;
    let wildcard = fleet.api.add_domain(&slug("shop"), &add("*.example.com")).await.unwrap().domain;
    owner.shows("anything.example.com", "/", "200 my shop").await;
    let old = fleet.api.add_domain(&slug("shop"), &add("old.example.org")).await.unwrap().domain;
    owner.set(&format!("TXT _loggia.old.example.org {}", proof.value));
    owner.shows("old.example.org", "/a.txt", "308 http://www.example.com/a.txt").await;
    let elsewhere: Hostname = "shop.example.net".parse().unwrap();
    let role = DomainRole::Redirect { to: elsewhere, status: 307.try_into().unwrap() };
    fleet.api.update_domain(&slug("shop"), old.id, &UpdateDomain { role }).await.unwrap();
    owner.shows("old.example.org", "/a.txt", "307 http://shop.example.net/a.txt").await;

    // Name servers that are silent for days say nothing.
    owner.names.stop();
    for _ in 0..3 {
        owner.pass(30).await;
        let looked = owner.look(www.id, "nobody answers", |domain| {
            let findings = &domain.diagnosis.as_ref().unwrap().findings;
            findings.iter().any(|finding| finding.level == FindingLevel::Unknown)
        });
        assert_eq!(looked.await.state, DomainState::Verified);
    }
    owner.shows("www.example.com", "/", "200 my shop").await;

    // The proof is gone: told at once, lost after two days, for every name that it proved and no other.
    owner.unset("TXT _loggia.example.com ");
    let words = owner.told(www.id, FindingCode::ProofMissing).await;
    assert!(words.contains("is gone. Put it back"), "{words}");
    for id in [apex.id, wildcard.id] {
        owner.told(id, FindingCode::ProofMissing).await;
    }
    owner.pass(24).await;
    owner.told(www.id, FindingCode::ProofMissing).await;
    owner.shows("www.example.com", "/", "200 my shop").await;
    for _ in 0..3 {
        owner.pass(24).await;
        for id in [apex.id, www.id, wildcard.id] {
            owner.look(id, "it is looked at", |domain| domain.next_check_at.is_some()).await;
        }
    }
    for (id, host) in
        [(www.id, "www.example.com"), (apex.id, "example.com"), (wildcard.id, "anything.example.com")]
    {
        owner.is(id, DomainState::Lost).await;
        owner.shows_nothing(host).await;
    }
    // Whoever led to it is not led to nobody.
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "my shop");

    // Somebody else has the zone now, and has to wait; who had it before has not.
    fleet.sql("insert into organizations (organization_id, slug, name) values ('0000000000000001', 'other', 'Other')").await;
    let other = CreateProject {
        organization: Some("other".parse().unwrap()),
        ..CreateProject::new(slug("other-shop"))
    };
    fleet.api.create_project(&other).await.unwrap();
    let refused = fleet.api.add_domain(&slug("other-shop"), &add("www.example.com")).await.unwrap_err();
    assert_eq!(refused.code(), Some("domain_quarantined"), "{refused}");
    owner.set(&format!("TXT _loggia.example.com {}", proof.value));
    owner.is(www.id, DomainState::Verified).await;
    owner.shows("www.example.com", "/", "200 my shop").await;
    let refused = fleet.api.add_domain(&slug("other-shop"), &add("new.example.com")).await.unwrap_err();
    assert_eq!(refused.code(), Some("domain_protected"), "{refused}");

    // Removed: gone within a second, kept for its organization, and handed over by who runs the installation.
    fleet.api.remove_domain(&slug("shop"), www.id).await.unwrap();
    let removed = tokio::time::Instant::now();
    owner.shows_nothing("www.example.com").await;
    assert!(removed.elapsed() < Duration::from_secs(2), "{:?}", removed.elapsed());
    for id in [apex.id, wildcard.id] {
        fleet.api.remove_domain(&slug("shop"), id).await.unwrap();
    }
    let refused = fleet.api.add_domain(&slug("other-shop"), &add("www.example.com")).await.unwrap_err();
    assert_eq!(refused.code(), Some("domain_quarantined"), "{refused}");
    fleet.api.hand_over_hostname(&name("www.example.com")).await.unwrap();
    let theirs = fleet.api.add_domain(&slug("other-shop"), &add("www.example.com")).await.unwrap().domain;
    assert_ne!(theirs.records[0].value, proof.value, "a proof is one organization's");
    assert_eq!(fleet.visitor.get("shop.localhost", "/").await.body, "my shop");
}
