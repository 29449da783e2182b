//! Fastly: `POST /service/{id}/purge` takes keys of one service, `POST /purge/{url}` one address
//! (fastly.com/documentation/reference/api/purging).

use loggia_types::SurrogateKey;

use super::Request;
use super::batch::{Items, chunks};
use crate::config::FastlyConfig;

/// Fastly's own limit.
const KEYS_MAX: usize = 256;
/// The keys travel in one header; Fastly takes up to 16 KiB of them.
const KEYS_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Fastly(pub(super) FastlyConfig);

impl Fastly {
    pub(super) fn requests(&self, items: &Items, soft: bool) -> Vec<Request> {
        let Self(config) = self;
        let keys =
            chunks(&items.keys, KEYS_MAX, KEYS_BYTES_MAX, SurrogateKey::as_str).into_iter().map(|keys| {
                let path = format!("/service/{}/purge", config.service_id.as_str());
                self.post(&path, soft).header("surrogate-key", keys.join(" "))
            });
        let urls = items.urls.iter().map(|url| self.post(&format!("/purge/{url}"), soft));
        keys.chain(urls)
            .map(|request| request.body(String::new()).expect("checked when it was configured"))
            .collect()
    }

    fn post(&self, path: &str, soft: bool) -> http::request::Builder {
        let Self(config) = self;
        let request = http::Request::post(format!("{}{path}", config.api_url.as_str()))
            .header("fastly-key", config.token.reveal())
            .header("accept", "application/json");
        if soft { request.header("fastly-soft-purge", "1") } else { request }
    }
}
