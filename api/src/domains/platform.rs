//! Where visitors reach this platform: what domains have to lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use loggia_types::{BaseDomain, Hostname, ProjectSlug};

use super::names::Own;
use crate::config::Config;
use crate::dns::{Answer, Resolver};

/// An operator who has just changed them looks again.
const ADDRESSES_FOR: Duration = Duration::from_secs(60);

/// The platform's own names and addresses.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    base: BaseDomain,
    /// `LOGGIA_EDGE_CNAME`
    edge: Option<Hostname>,
    /// `LOGGIA_EDGE_ADDRESSES`; else looked up.
    addresses: Vec<IpAddr>,
    hosts: Vec<Hostname>,
    looked_up: Arc<Mutex<Option<LookedUp>>>,
}

/// Addresses, and when they were asked for.
type LookedUp = (Instant, Vec<IpAddr>);

/// What the records of a project's domains have to lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// For a CNAME.
    pub(crate) name: Hostname,
    /// For A and AAAA; none when they are not known.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) base: BaseDomain,
}

impl Platform {
    pub(crate) fn new(config: &Config) -> Self {
        let api = url::Url::parse(&config.public_url).ok();
        let api = api.and_then(|url| url.host_str().and_then(|host| host.parse().ok()));
        Self {
            base: config.base_domain.clone(),
            edge: config.edge_cname.clone(),
            addresses: config.edge_addresses.clone(),
            hosts: config.edge_cname.iter().cloned().chain(api).collect(),
            looked_up: Arc::default(),
        }
    }

    pub(crate) fn own(&self) -> Own<'_> {
        Own { base: &self.base, hosts: &self.hosts }
    }

    /// Every project's own name leads to the edges, so it will do as the target of a CNAME where there is no other.
    pub(crate) async fn target(&self, slug: &ProjectSlug, resolver: &Resolver) -> Target {
        let name = self.edge.clone().unwrap_or_else(|| self.base.production(slug));
        let addresses = if !self.addresses.is_empty() {
            self.addresses.clone()
        } else if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            // RFC 6761, 6.3: never asked of a name server.
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            self.looked_up(&name, resolver).await
        };
        Target { name, addresses, base: self.base.clone() }
    }

    async fn looked_up(&self, name: &Hostname, resolver: &Resolver) -> Vec<IpAddr> {
        let known = self.looked_up.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, addresses)) = known
            && at.elapsed() < ADDRESSES_FOR
        {
            return addresses;
        }
        let (v4, v6) = tokio::join!(resolver.a(name.as_str()), resolver.aaaa(name.as_str()));
        let mut addresses: Vec<IpAddr> = values(v4).into_iter().map(IpAddr::from).collect();
        addresses.extend(values(v6).into_iter().map(IpAddr::from));
        let found = Some((Instant::now(), addresses.clone()));
        *self.looked_up.lock().unwrap_or_else(PoisonError::into_inner) = found;
        addresses
    }
}

fn values<T>(answer: Answer<T>) -> Vec<T> {
    match answer {
        Answer::Found { values, .. } => values,
        Answer::Nothing { .. } | Answer::NoSuchName { .. } | Answer::Failed(_) => Vec::new(),
    }
}
