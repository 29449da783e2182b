//! Questions to the DNS about the names of other people.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};

/// A person waits for the answer: it is asked for once more, and then given up after six seconds.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(crate) struct Resolver(TokioResolver);

/// What the name servers say about one type of record at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    Found {
        values: Vec<T>,
        ttl_secs: u32,
    },
    /// The name is there, and has no such record. The time is how long others may go on saying so.
    Nothing {
        ttl_secs: Option<u32>,
    },
    NoSuchName {
        ttl_secs: Option<u32>,
    },
    /// Nobody could be asked: says nothing about the record. In words, why.
    Failed(String),
}

impl<T> Answer<T> {
    pub(crate) fn values(&self) -> &[T] {
        match self {
            Self::Found { values, .. } => values,
            Self::Nothing { .. } | Self::NoSuchName { .. } | Self::Failed(_) => &[],
        }
    }

    pub(crate) fn ttl_secs(&self) -> Option<u32> {
        match self {
            Self::Found { ttl_secs, .. } => Some(*ttl_secs),
            Self::Nothing { ttl_secs } | Self::NoSuchName { ttl_secs } => *ttl_secs,
            Self::Failed(_) => None,
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        match self {
            Self::Failed(why) => Some(why),
            Self::Found { .. } | Self::Nothing { .. } | Self::NoSuchName { .. } => None,
        }
    }
}

impl Resolver {
    pub(crate) fn new(server: Option<SocketAddr>) -> anyhow::Result<Self> {
        let mut builder = match server {
            Some(address) => {
                let mut name_server = NameServerConfig::udp_and_tcp(address.ip());
                for connection in &mut name_server.connections {
                    connection.port = address.port();
                }
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![name_server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
            None => TokioResolver::builder_tokio()?,
        };
        let options = builder.options_mut();
        options.timeout = LOOKUP_TIMEOUT;
        options.attempts = 1;
        // A person who has just set the record must not be told what was there a minute ago.
        options.cache_size = 0;
        Ok(Self(builder.build()?))
    }

    pub(crate) async fn txt(&self, name: &str) -> Answer<String> {
        let text = |data: &RData| match data {
            RData::TXT(txt) => {
                Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>())
            }
            _ => None,
        };
        self.ask(name, RecordType::TXT, text).await
    }

    pub(crate) async fn a(&self, name: &str) -> Answer<Ipv4Addr> {
        let address = |data: &RData| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        };
        self.ask(name, RecordType::A, address).await
    }

    pub(crate) async fn aaaa(&self, name: &str) -> Answer<Ipv6Addr> {
        let address = |data: &RData| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        };
        self.ask(name, RecordType::AAAA, address).await
    }

    /// Without a dot at the end.
    pub(crate) async fn cname(&self, name: &str) -> Answer<String> {
        let target = |data: &RData| match data {
            RData::CNAME(target) => Some(target.0.to_ascii().trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        };
        self.ask(name, RecordType::CNAME, target).await
    }

    /// Whether the name is there at all.
    pub(crate) async fn soa(&self, name: &str) -> Answer<()> {
        self.ask(name, RecordType::SOA, |data| matches!(data, RData::SOA(_)).then_some(())).await
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, value: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        // The final dot keeps the system's search domains out.
        match self.0.lookup(format!("{name}."), kind).await {
            Ok(lookup) => {
                let records: Vec<_> = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| Some((value(&record.data)?, record.ttl)))
                    .collect();
                match records.iter().map(|(_, ttl)| *ttl).max() {
                    None => Answer::Nothing { ttl_secs: None },
                    Some(ttl_secs) => {
                        let values = records.into_iter().map(|(value, _)| value).collect();
                        Answer::Found { values, ttl_secs }
                    }
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                let ttl_secs = none.negative_ttl;
                match none.response_code {
                    hickory_resolver::proto::op::ResponseCode::NXDomain => Answer::NoSuchName { ttl_secs },
                    hickory_resolver::proto::op::ResponseCode::NoError => Answer::Nothing { ttl_secs },
                    code => Answer::Failed(format!("they answered {code}")),
                }
            }
            Err(error) => Answer::Failed(reason(&error)),
        }
    }
}

fn reason(error: &NetError) -> String {
    match error {
        NetError::Timeout => "no answer in time".to_owned(),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the answer was «{code}»"),
        NetError::Io(_) | NetError::NoConnections => "no connection".to_owned(),
        other => other.to_string(),
    }
}
