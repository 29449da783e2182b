//! TXT look-ups that prove who owns a hostname.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use loggia_types::Hostname;

/// A person waits for the answer.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(crate) struct Resolver(TokioResolver);

/// What the zone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TxtAnswer {
    Found(Vec<String>),
    /// The name or the record does not exist.
    Nothing,
    /// The name servers could not be asked: says nothing about the record.
    Failed(String),
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
        options.attempts = 2;
        // A person who has just set the record must not be told what was there a minute ago.
        options.cache_size = 0;
        Ok(Self(builder.build()?))
    }

    pub(crate) async fn txt(&self, name: &str) -> TxtAnswer {
        // The final dot keeps the system's search domains out.
        match self.0.txt_lookup(format!("{name}.")).await {
            Ok(lookup) => TxtAnswer::Found(
                lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        hickory_resolver::proto::rr::RData::TXT(txt) => Some(
                            txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect::<String>(),
                        ),
                        _ => None,
                    })
                    .collect(),
            ),
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => TxtAnswer::Nothing,
            Err(error) => TxtAnswer::Failed(error.to_string()),
        }
    }
}

/// The name below which the proof lies.
pub(crate) fn record_name(hostname: &Hostname) -> String {
    format!("_loggia.{hostname}")
}

pub(crate) fn record_value(token: &str) -> String {
    format!("loggia-verify={token}")
}
