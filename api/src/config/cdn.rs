//! CDNs in front of the edges. None of them is needed; any of them may be there at the same time.

use std::str::FromStr;
use std::time::Duration;

use loggia_runtime::{Env, Secret};

/// The second pass comes when every edge has followed: one without the event stream asks again after 2 s, one that
/// waits for the api serves the old answer for 1 s more. That, twice.
const SETTLED_AFTER: Duration = Duration::from_secs(6);

/// Which CDNs are told what to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdnConfig {
    pub fastly: Option<FastlyConfig>,
    pub cloudflare: Option<CloudflareConfig>,
    pub varnish: Option<VarnishConfig>,
    /// They are told at once, and again after this; no setting, since it follows from how edges work.
    pub settled_after: Duration,
}

impl Default for CdnConfig {
    fn default() -> Self {
        Self { fastly: None, cloudflare: None, varnish: None, settled_after: SETTLED_AFTER }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastlyConfig {
    pub api_url: ServiceUrl,
    pub service_id: PathWord,
    /// With the right to purge («purge_select»).
    pub token: Secret,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudflareConfig {
    pub api_url: ServiceUrl,
    pub zone_id: PathWord,
    /// With the permission «Cache Purge» for the zone.
    pub token: Secret,
}

/// Varnish has no API of its own: these are the agreements with `examples/varnish/loggia.vcl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VarnishConfig {
    /// Each of them has its own cache, so each is told.
    pub urls: Vec<ServiceUrl>,
    pub header: String,
    pub soft_header: String,
}

/// Scheme, host and port, and perhaps a path, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address is http or https, a host and perhaps a port, without a user or a query")]
pub struct InvalidServiceUrl;

impl ServiceUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceUrl {
    type Err = InvalidServiceUrl;
    fn from_str(text: &str) -> Result<Self, InvalidServiceUrl> {
        let url = url::Url::parse(text).map_err(|_| InvalidServiceUrl)?;
        // It is shown in logs and in answers: nothing secret may be in it.
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(Self(url.as_str().trim_end_matches('/').to_owned())) } else { Err(InvalidServiceUrl) }
    }
}

/// The id of a service or a zone, which becomes a part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathWord(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to 64 letters and digits")]
pub struct InvalidPathWord;

impl PathWord {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathWord {
    type Err = InvalidPathWord;
    fn from_str(text: &str) -> Result<Self, InvalidPathWord> {
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidPathWord) }
    }
}

/// Separated by commas or spaces.
struct Urls(Vec<ServiceUrl>);

impl FromStr for Urls {
    type Err = InvalidServiceUrl;
    fn from_str(text: &str) -> Result<Self, InvalidServiceUrl> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// A header's name, in lower case.
struct HeaderName(String);

impl FromStr for HeaderName {
    type Err = http::header::InvalidHeaderName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<http::HeaderName>().map(|name| Self(name.as_str().to_owned()))
    }
}

impl CdnConfig {
    pub(super) fn from_env(env: &mut Env) -> Self {
        Self { fastly: fastly(env), cloudflare: cloudflare(env), varnish: varnish(env), ..Self::default() }
    }
}

fn fastly(env: &mut Env) -> Option<FastlyConfig> {
    let api_url = env.parsed("LOGGIA_CDN_FASTLY_API_URL", "https://api.fastly.com");
    let id = env.optional("LOGGIA_CDN_FASTLY_SERVICE_ID", "SU1Z0isxPaozGVKXdv0eY");
    let token = secret(env, "LOGGIA_CDN_FASTLY_TOKEN");
    let (service_id, token) =
        both(env, ("LOGGIA_CDN_FASTLY_SERVICE_ID", id), ("LOGGIA_CDN_FASTLY_TOKEN", token))?;
    Some(FastlyConfig { api_url, service_id, token })
}

fn cloudflare(env: &mut Env) -> Option<CloudflareConfig> {
    let api_url = env.parsed("LOGGIA_CDN_CLOUDFLARE_API_URL", "https://api.cloudflare.com");
    let id = env.optional("LOGGIA_CDN_CLOUDFLARE_ZONE_ID", "023e105f4ecef8ad9ca31a8372d0c353");
    let token = secret(env, "LOGGIA_CDN_CLOUDFLARE_TOKEN");
    let (zone_id, token) =
        both(env, ("LOGGIA_CDN_CLOUDFLARE_ZONE_ID", id), ("LOGGIA_CDN_CLOUDFLARE_TOKEN", token))?;
    Some(CloudflareConfig { api_url, zone_id, token })
}

fn varnish(env: &mut Env) -> Option<VarnishConfig> {
    let urls = env.optional::<Urls>("LOGGIA_CDN_VARNISH_URLS", "http://10.0.0.5:6081,http://10.0.0.6:6081");
    let header = env.parsed::<HeaderName>("LOGGIA_CDN_VARNISH_HEADER", "xkey-purge").0;
    let soft_header = env.parsed::<HeaderName>("LOGGIA_CDN_VARNISH_SOFT_HEADER", "xkey-softpurge").0;
    let urls = urls.map(|urls| urls.0).filter(|urls| !urls.is_empty())?;
    Some(VarnishConfig { urls, header, soft_header })
}

fn secret(env: &mut Env, name: &str) -> Option<Secret> {
    let text = env.optional::<String>(name, "a token that may purge")?;
    // It travels in a header.
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        return Some(Secret::new(text));
    }
    env.mistake(format!("{name} has characters that no token has: spaces, line ends, or none of ASCII"));
    Some(Secret::new(""))
}

/// An id is of no use without its token, nor the other way round.
fn both<T>(
    env: &mut Env,
    (id_name, id): (&str, Option<T>),
    (token_name, token): (&str, Option<Secret>),
) -> Option<(T, Secret)> {
    match (id, token) {
        (Some(id), Some(token)) => Some((id, token)),
        (None, None) => None,
        (id, _) => {
            let missing = if id.is_some() { token_name } else { id_name };
            env.mistake(format!("{missing} is not set: {id_name} and {token_name} go together"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<CdnConfig, String> {
        let values = values.iter().map(|(name, value)| (format!("LOGGIA_CDN_{name}"), (*value).to_owned()));
        let mut env = Env::from_values(values);
        let config = CdnConfig::from_env(&mut env);
        env.finish().map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_set_is_no_cdn_and_all_of_them_may_be_set() {
        assert_eq!(read(&[]), Ok(CdnConfig::default()));
        let config = read(&[
            ("FASTLY_SERVICE_ID", "abc"),
            ("FASTLY_TOKEN", "t0ken"),
            ("CLOUDFLARE_ZONE_ID", "023e"),
            ("CLOUDFLARE_TOKEN", "t0ken"),
            ("VARNISH_URLS", "http://10.0.0.5:6081/, http://[::1]"),
            ("VARNISH_HEADER", "XKey"),
        ])
        .expect("valid");
        let varnish = config.varnish.as_ref().expect("set");
        let urls: Vec<&str> = varnish.urls.iter().map(ServiceUrl::as_str).collect();
        assert_eq!(urls, ["http://10.0.0.5:6081", "http://[::1]"]);
        assert_eq!((varnish.header.as_str(), varnish.soft_header.as_str()), ("xkey", "xkey-softpurge"));
        let fastly = config.fastly.as_ref().expect("set");
        assert_eq!(fastly.api_url.as_str(), "https://api.fastly.com");
        assert!(!format!("{config:?}").contains("t0ken"));
    }

    #[test]
    fn every_mistake_is_reported_and_no_token_is_shown() {
        let error = read(&[
            ("FASTLY_SERVICE_ID", "../purge"),
            ("CLOUDFLARE_TOKEN", "t0ken"),
            ("CLOUDFLARE_API_URL", "ftp://example.com"),
            ("VARNISH_URLS", "http://admin@10.0.0.5"),
            ("VARNISH_HEADER", "x key"),
        ])
        .expect_err("mistakes");
        for expected in [
            "LOGGIA_CDN_FASTLY_SERVICE_ID=",
            "LOGGIA_CDN_CLOUDFLARE_ZONE_ID is not set",
            "LOGGIA_CDN_CLOUDFLARE_API_URL=",
            "LOGGIA_CDN_VARNISH_URLS=",
            "LOGGIA_CDN_VARNISH_HEADER=",
        ] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        let error = read(&[("FASTLY_TOKEN", "t0 ken"), ("FASTLY_SERVICE_ID", "abc")]).expect_err("a mistake");
        assert!(error.contains("LOGGIA_CDN_FASTLY_TOKEN") && !error.contains("t0 ken"), "{error}");
    }
}
