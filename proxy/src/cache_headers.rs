//! What an answer says of caches: ours, and a CDN's in front of us.

use std::borrow::Cow;

use http::header::{AGE, CACHE_CONTROL};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use loggia_types::route::Route;

use crate::answers::Audience;
use crate::config::EdgeName;
use crate::metrics::CacheResult;
use crate::routes::Resolved;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
pub(crate) const X_CACHE_HITS: HeaderName = HeaderName::from_static("x-cache-hits");
const X_SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
/// Cloudflare's name for the keys, with commas between them.
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// A CDN keeps answers until it is told otherwise: a promote purges them by key. Should that message be lost, a soft end
/// lets it go on while it asks.
const FOR_A_CDN: HeaderValue =
    HeaderValue::from_static("max-age=31536000, stale-while-revalidate=60, stale-if-error=604800");

/// While the api was not heard, an old answer may be served on, but nobody shall keep it: the purge of a promote that this
/// edge has not heard of is over already (docs/decisions/0010).
const FOR_A_CDN_UNCONFIRMED: HeaderValue =
    HeaderValue::from_static("max-age=0, stale-while-revalidate=60, stale-if-error=604800");

/// Fastly's limit of all keys of an answer.
const KEYS_BYTES_MAX: usize = 16 * 1024;

/// How the bytes of an answer were had.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Served {
    /// Nothing but the manifest was needed.
    Manifest,
    Memory {
        is_stale: bool,
    },
    /// From this machine's disk.
    Disk,
    /// From the store, and kept.
    Stored {
        origin_ms: f64,
    },
    /// From the store, past our cache.
    Passed {
        origin_ms: Option<f64>,
    },
}

impl Served {
    pub(crate) fn label(self) -> CacheResult {
        match self {
            Self::Manifest => CacheResult::None,
            Self::Memory { is_stale: false } | Self::Disk => CacheResult::Hit,
            Self::Memory { is_stale: true } => CacheResult::Stale,
            Self::Stored { .. } | Self::Passed { .. } => CacheResult::Origin,
        }
    }
}

const STALE: &str = "STALE";

/// Where each way of serving stands in [`CacheHeaders::statuses`].
const MANIFEST: usize = 0;
const HIT: usize = 1;
const HIT_STALE: usize = 2;
const MISS: usize = 3;
const PASS: usize = 4;
const DISK: usize = 5;

/// Speaks about caches in the name of this edge.
#[derive(Debug, Clone)]
pub(crate) struct CacheHeaders {
    name: HeaderValue,
    /// `Cache-Status` (RFC 9211) of what needs no text of its own: from the manifest, from memory, stale, stored, passed, from disk.
    statuses: [HeaderValue; 6],
}

impl CacheHeaders {
    pub(crate) fn new(name: &EdgeName) -> Self {
        let says = |what: &str| {
            let text = format!("{name}{what}");
            HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("edge"))
        };
        let statuses = [
            says("; hit; detail=manifest"),
            says("; hit"),
            says("; hit; detail=stale"),
            says("; fwd=miss; stored"),
            says("; fwd=bypass"),
            says("; hit; detail=disk"),
        ];
        Self { name: says(""), statuses }
    }

    pub(crate) fn tell(&self, head: &mut Parts, served: Served) {
        let (x_cache, status, timing) = match served {
            Served::Manifest => ("HIT", MANIFEST, "cache;desc=hit"),
            Served::Memory { is_stale: false } => ("HIT", HIT, "cache;desc=hit"),
            Served::Memory { is_stale: true } => (STALE, HIT_STALE, "cache;desc=stale"),
            Served::Disk => ("HIT", DISK, "cache;desc=disk"),
            Served::Stored { .. } => ("MISS", MISS, "cache;desc=miss"),
            Served::Passed { .. } => ("MISS", PASS, "cache;desc=pass"),
        };
        let (x_cache, status) = match (is_outdated(head), status) {
            (true, MANIFEST | HIT | DISK) => (STALE, HIT_STALE),
            (true, from_store) => (STALE, from_store),
            (false, status) => (x_cache, status),
        };
        let headers = &mut head.headers;
        headers.insert(X_CACHE, HeaderValue::from_static(x_cache));
        headers.insert(X_SERVED_BY, self.name.clone());
        headers.insert(CACHE_STATUS, self.statuses[status].clone());
        let origin_ms = match served {
            Served::Stored { origin_ms } => Some(origin_ms),
            Served::Passed { origin_ms } => origin_ms,
            Served::Manifest | Served::Memory { .. } | Served::Disk => None,
        };
        let timing = match origin_ms {
            None => Ok(HeaderValue::from_static(timing)),
            Some(ms) => HeaderValue::try_from(format!("{timing}, origin;dur={ms:.1}")),
        };
        headers.extend(timing.ok().map(|timing| (SERVER_TIMING, timing)));
    }
}

/// An answer that is out of date however its bytes are had. No header, for a site's rules can set those.
#[derive(Debug, Clone, Copy)]
struct Outdated;

pub(crate) fn mark_outdated(head: &mut Parts) {
    head.extensions.insert(Outdated);
}

pub(crate) fn is_outdated(head: &Parts) -> bool {
    head.extensions.get::<Outdated>().is_some()
}

/// For how long a file has been in memory, and how often it was sent from there.
pub(crate) fn count(headers: &mut HeaderMap, age_secs: u64, hits: u64) {
    headers.insert(AGE, age_secs.into());
    headers.insert(X_CACHE_HITS, hits.into());
}

/// Tells a CDN how to keep an answer, and under which names it is purged, unless others may get another one for the same
/// request. Nobody else learns of it, whoever set it.
pub(crate) fn address(
    headers: &mut HeaderMap,
    audience: Audience,
    Resolved { route, is_confirmed, .. }: &Resolved,
    is_for_everybody: bool,
) {
    if audience == Audience::Public || !is_for_everybody || !may_be_stored(headers) {
        for name in [SURROGATE_KEY, SURROGATE_CONTROL, CDN_CACHE_CONTROL, CACHE_TAG] {
            headers.remove(name);
        }
        return;
    }
    if let Some(keys) = keys(headers, route) {
        let tags = keys.to_str().map(|keys| HeaderValue::try_from(keys.replace(' ', ",")));
        headers.extend(tags.into_iter().flatten().map(|tags| (CACHE_TAG, tags)));
        headers.insert(SURROGATE_KEY, keys);
    }
    for name in [SURROGATE_CONTROL, CDN_CACHE_CONTROL] {
        if !is_confirmed {
            headers.insert(name, FOR_A_CDN_UNCONFIRMED);
        } else if !headers.contains_key(&name) {
            headers.insert(name, FOR_A_CDN);
        }
    }
}

/// Whether an answer carries a key.
pub(crate) fn has_key(headers: &HeaderMap, key: &str) -> bool {
    let mut lines = headers.get_all(SURROGATE_KEY).into_iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| line.split_whitespace().any(|known| known == key))
}

fn may_be_stored(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).into_iter().filter_map(|line| line.to_str().ok());
    let mut directives = lines.flat_map(|line| line.split(',')).map(str::trim);
    !directives.any(|name| name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("private"))
}

/// The route's own keys, which a promote purges, and then those of the site's rules.
fn keys(headers: &HeaderMap, route: &Route) -> Option<HeaderValue> {
    let rules = headers.get_all(SURROGATE_KEY).into_iter().filter_map(|line| line.to_str().ok());
    let mut keys = String::new();
    for key in route.surrogate_keys().chain(rules.flat_map(str::split_whitespace).map(Cow::Borrowed)) {
        if keys.len() + key.len() < KEYS_BYTES_MAX {
            keys.extend([if keys.is_empty() { "" } else { " " }, key.as_ref()]);
        }
    }
    HeaderValue::try_from(keys).ok().filter(|keys| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::Slot;
    use loggia_types::build::Environment;
    use loggia_types::route::{ServeSettings, SurrogateKeys};
    use loggia_types::{EventPosition, ProjectId};

    fn route() -> Route {
        Route {
            hostname: "shop.localhost".parse().expect("valid"),
            project_id: ProjectId::from_parts(1, 1),
            slug: "shop".parse().expect("valid"),
            deployment_id: None,
            environment: Environment::Production,
            indexable: true,
            serve: ServeSettings::default(),
            surrogate_keys: SurrogateKeys::Listed(Box::new(["p-1", "d-2"].map(str::to_owned).into())),
            redirect: None,
            version: EventPosition(1),
        }
    }

    fn resolved(is_confirmed: bool) -> Resolved {
        let route = route();
        Resolved { slot: Slot::new(route.hostname.clone()).into(), route: route.into(), is_confirmed }
    }

    fn addressed(audience: Audience, is_for_everybody: bool, lines: &[(HeaderName, &str)]) -> [String; 3] {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().expect("a value"));
        }
        address(&mut headers, audience, &resolved(true), is_for_everybody);
        [SURROGATE_KEY, SURROGATE_CONTROL, CDN_CACHE_CONTROL]
            .map(|name| headers.get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned())
    }

    #[test]
    fn only_a_cdn_hears_how_to_keep_what_may_be_kept() {
        let none = ["", "", ""].map(str::to_owned);
        let usual = FOR_A_CDN;
        let usual = usual.to_str().expect("ASCII");
        let of_rules = [(SURROGATE_KEY, "blog  news"), (SURROGATE_CONTROL, "max-age=60")];
        assert_eq!(addressed(Audience::Public, true, &of_rules), none);
        assert_eq!(addressed(Audience::Cdn, false, &of_rules), none);
        assert_eq!(addressed(Audience::Cdn, true, &[(CACHE_CONTROL, "no-store")]), none);
        assert_eq!(addressed(Audience::Cdn, true, &[(CACHE_CONTROL, "a, Private")]), none);
        assert_eq!(addressed(Audience::Cdn, true, &[]), ["p-1 d-2", usual, usual].map(str::to_owned));
        assert_eq!(
            addressed(Audience::Cdn, true, &of_rules),
            ["p-1 d-2 blog news", "max-age=60", usual].map(str::to_owned)
        );
    }

    #[test]
    fn no_cdn_keeps_what_the_api_did_not_confirm() {
        let mut headers = HeaderMap::from_iter([(SURROGATE_CONTROL, HeaderValue::from_static("max-age=60"))]);
        address(&mut headers, Audience::Cdn, &resolved(false), true);
        assert_eq!(headers[SURROGATE_CONTROL], FOR_A_CDN_UNCONFIRMED);
        assert_eq!(headers[SURROGATE_KEY], "p-1 d-2");
        assert_eq!(headers[CACHE_TAG], "p-1,d-2");
    }

    #[test]
    fn what_is_out_of_date_is_stale_wherever_its_bytes_come_from() {
        let teller = CacheHeaders::new(&"paris".parse().expect("a name"));
        for (served, status) in [
            (Served::Manifest, "paris; hit; detail=stale"),
            (Served::Memory { is_stale: false }, "paris; hit; detail=stale"),
            (Served::Stored { origin_ms: 1.0 }, "paris; fwd=miss; stored"),
            (Served::Passed { origin_ms: None }, "paris; fwd=bypass"),
        ] {
            let mut head = http::Response::new(()).into_parts().0;
            mark_outdated(&mut head);
            teller.tell(&mut head, served);
            assert_eq!(
                (&head.headers[X_CACHE], &head.headers[CACHE_STATUS]),
                (&HeaderValue::from_static("STALE"), &HeaderValue::from_static(status))
            );
        }
    }

    #[test]
    fn every_way_of_serving_is_told_in_all_headers() {
        let teller = CacheHeaders::new(&"paris".parse().expect("a name"));
        let told = |served| {
            let mut head = http::Response::new(()).into_parts().0;
            // What a rule of the site says of it counts for nothing.
            head.headers.insert(X_CACHE, HeaderValue::from_static(STALE));
            teller.tell(&mut head, served);
            let headers = head.headers;
            [X_CACHE, X_SERVED_BY, CACHE_STATUS, SERVER_TIMING]
                .map(|name| headers[name].to_str().expect("ASCII").to_owned())
        };
        let cases = [
            (Served::Manifest, ["HIT", "paris", "paris; hit; detail=manifest", "cache;desc=hit"]),
            (Served::Memory { is_stale: false }, ["HIT", "paris", "paris; hit", "cache;desc=hit"]),
            (
                Served::Memory { is_stale: true },
                ["STALE", "paris", "paris; hit; detail=stale", "cache;desc=stale"],
            ),
            (Served::Disk, ["HIT", "paris", "paris; hit; detail=disk", "cache;desc=disk"]),
            (
                Served::Stored { origin_ms: 1.25 },
                ["MISS", "paris", "paris; fwd=miss; stored", "cache;desc=miss, origin;dur=1.2"],
            ),
            (Served::Passed { origin_ms: None }, ["MISS", "paris", "paris; fwd=bypass", "cache;desc=pass"]),
        ];
        for (served, expected) in cases {
            assert_eq!(told(served), expected, "{served:?}");
        }
    }
}
