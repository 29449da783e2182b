//! Cloudflare: `POST /client/v4/zones/{zone}/purge_cache`, with tags or with addresses; on every plan
//! (developers.cloudflare.com/cache/how-to/purge-cache). It knows no soft purge: a soft one is a hard one here.

use loggia_types::SurrogateKey;
use serde_json::{Value, json};

use super::Request;
use super::batch::{Items, chunks};
use crate::config::{CloudflareConfig, PublicUrl};

/// Cloudflare's own limit of tags or addresses in one call.
const ITEMS_MAX: usize = 100;
/// A tag has at most 1,024 characters there as well, so the number is what limits.
const BYTES_MAX: usize = 256 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Cloudflare {
    pub(super) config: CloudflareConfig,
    /// Addresses are purged as visitors write them, scheme and port included.
    pub(super) edge_url: PublicUrl,
}

impl Cloudflare {
    pub(super) fn requests(&self, items: &Items) -> Vec<Request> {
        let tags = chunks(&items.keys, ITEMS_MAX, BYTES_MAX, SurrogateKey::as_str);
        let urls: Vec<String> = items
            .urls
            .iter()
            .map(|url| format!("{}{}", self.edge_url.of(url.hostname()), url.target()))
            .collect();
        let files = chunks(&urls, ITEMS_MAX, BYTES_MAX, String::as_str);
        let tags = tags.into_iter().map(|tags| json!({ "tags": tags }));
        let files = files.into_iter().map(|files| json!({ "files": files }));
        tags.chain(files).map(|body| self.post(&body)).collect()
    }

    fn post(&self, body: &Value) -> Request {
        let (config, zone) = (&self.config, self.config.zone_id.as_str());
        http::Request::post(format!("{}/client/v4/zones/{zone}/purge_cache", config.api_url.as_str()))
            .header("authorization", format!("Bearer {}", config.token.reveal()))
            .header("content-type", "application/json")
            .body(body.to_string())
            .expect("checked when it was configured")
    }
}
