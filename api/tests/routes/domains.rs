mod life;
mod names;
mod primary;
mod rights;

use std::time::Duration;

use loggia_client::{ApiClient, ClientError};
use loggia_types::Hostname;
use loggia_types::api::{AddDomain, AddedDomain, Diagnosis, Domain, DomainState, FindingCode};
use loggia_types::route::Route;

use crate::name_server::NameServer;
use crate::world::{World, slug};

/// Where the platform's edges are, in these tests.
const EDGE: &str = "edge.example.net";
const ADDRESS: &str = "192.0.2.1";

/// A platform that asks a name server of its own.
async fn world() -> (World, NameServer) {
    let names = NameServer::start().await;
    names.set("SOA", "example.com", &[""]);
    let resolver = names.address;
    let world = World::start_with(move |config| {
        config.dns_resolver = Some(resolver);
        config.edge_cname = Some(EDGE.parse().unwrap());
        config.edge_addresses = vec![ADDRESS.parse().unwrap()];
    })
    .await;
    (world, names)
}

fn hostname(text: &str) -> Hostname {
    text.parse().unwrap()
}

fn new(name: &str) -> AddDomain {
    AddDomain { hostname: name.parse().unwrap(), with_www: false, role: None }
}

/// What somebody does with the domains of a project.
struct Owner<'w> {
    api: &'w ApiClient,
    project: &'static str,
}

impl Owner<'_> {
    async fn add(&self, name: &str) -> Domain {
        self.add_as(&new(name)).await.unwrap().domain
    }

    async fn add_as(&self, body: &AddDomain) -> Result<AddedDomain, ClientError> {
        self.api.add_domain(&slug(self.project), body).await
    }

    async fn refused(&self, name: &str) -> String {
        self.add_as(&new(name)).await.unwrap_err().code().unwrap().to_owned()
    }

    async fn get(&self, id: loggia_types::DomainId) -> Domain {
        self.api.get_domain(&slug(self.project), id).await.unwrap()
    }

    /// As soon as it may be asked for again.
    async fn verify(&self, domain: &Domain) -> Domain {
        eventually("it may be asked for", || async {
            match self.api.verify_domain(&slug(self.project), domain.id).await {
                Err(error) if error.code() == Some("checked_just_now") => None,
                looked => Some(looked.unwrap()),
            }
        })
        .await
    }

    /// Adds it and puts the proof in its zone.
    async fn prove(&self, names: &NameServer, name: &str) -> Domain {
        let domain = self.add(name).await;
        names.set("TXT", &domain.records[0].name, &[&domain.records[0].value]);
        let proven = self.verify(&domain).await;
        assert!(proven.verified_at.is_some(), "{proven:?}");
        proven
    }

    async fn remove(&self, domain: &Domain) {
        self.api.remove_domain(&slug(self.project), domain.id).await.unwrap();
    }
}

async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn diagnosis(domain: &Domain) -> &Diagnosis {
    domain.diagnosis.as_ref().unwrap()
}

fn codes(domain: &Domain) -> Vec<FindingCode> {
    diagnosis(domain).findings.iter().map(|finding| finding.code).collect()
}

async fn route(world: &World, name: &str) -> Option<Route> {
    world.edge.route(&hostname(name)).await.unwrap()
}

/// `-` for nobody, `serves`, or where it leads, with a star for what search engines may list.
async fn shown(world: &World, name: &str) -> String {
    match route(world, name).await {
        None => "-".to_owned(),
        Some(Route { indexable, redirect, .. }) => {
            let what = redirect.map_or("serves".to_owned(), |redirect| {
                format!("{} {}", redirect.status.code(), redirect.to)
            });
            format!("{what}{}", if indexable { "*" } else { "" })
        }
    }
}

/// Lets time pass for a domain, as if its clocks had been set back.
async fn pass(world: &World, hours: u32) {
    let sql = format!(
        "update domains set asked_at = asked_at - interval '{hours} hours',
                checked_at = checked_at - interval '{hours} hours',
                next_check_at = next_check_at - interval '{hours} hours',
                proof_missing_since = proof_missing_since - interval '{hours} hours',
                lost_at = lost_at - interval '{hours} hours',
                watched_since = watched_since - interval '{hours} hours';
         update released_hostnames set held_until = held_until - interval '{hours} hours'"
    );
    world.database.connect().await.batch_execute(&sql).await.unwrap();
}

fn is(domain: &Domain, state: DomainState) {
    assert_eq!(domain.state, state, "{domain:?}");
}
