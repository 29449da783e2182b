//! Varnish: `PURGE`, as `examples/varnish/loggia.vcl` understands it. Keys are in a header that its xkey module reads;
//! without one, the address of the request itself is purged.

use loggia_types::SurrogateKey;
use loggia_types::purge::PurgeUrl;

use super::Request;
use super::batch::{Items, chunks};
use crate::config::{ServiceUrl, VarnishConfig};

/// Varnish takes header lines of 8 KiB unless it was told otherwise (`http_req_hdr_len`).
const KEYS_BYTES_MAX: usize = 4 * 1024;
const KEYS_MAX: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Varnish {
    pub(super) url: ServiceUrl,
    header: String,
    soft_header: String,
}

impl Varnish {
    pub(super) fn all(config: &VarnishConfig) -> impl Iterator<Item = Self> {
        let VarnishConfig { urls, header, soft_header } = config.clone();
        urls.into_iter().map(move |url| Self {
            url,
            header: header.clone(),
            soft_header: soft_header.clone(),
        })
    }

    pub(super) fn requests(&self, items: &Items, soft: bool) -> Vec<Request> {
        let header = if soft { &self.soft_header } else { &self.header };
        let keys = chunks(&items.keys, KEYS_MAX, KEYS_BYTES_MAX, SurrogateKey::as_str);
        let keys = keys.into_iter().map(|keys| self.purge("/").header(header, keys.join(" ")));
        let urls = items.urls.iter().map(|url| self.purge_url(url, soft));
        keys.chain(urls)
            .map(|request| request.body(String::new()).expect("checked when it was configured"))
            .collect()
    }

    fn purge_url(&self, url: &PurgeUrl, soft: bool) -> http::request::Builder {
        let request = self.purge(url.target()).header("host", url.hostname().as_str());
        if soft { request.header("soft-purge", "1") } else { request }
    }

    fn purge(&self, target: &str) -> http::request::Builder {
        http::Request::builder().method("PURGE").uri(format!("{}{target}", self.url.as_str()))
    }
}
