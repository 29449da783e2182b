//! The api's answer to «which deployment does this hostname show?».

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::alias::{AliasLabel, AliasName};
use crate::build::Environment;
use crate::id::{DeploymentId, EventPosition, ProjectId};
use crate::manifest::NotFound;
use crate::object_key::DeploymentRef;
use crate::purge::SurrogateKey;
use crate::{Hostname, ProjectSlug};

/// Everything the edge has to know about a hostname, apart from the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Json", into = "Json")]
pub struct Route {
    pub hostname: Hostname,
    pub project_id: ProjectId,
    pub slug: ProjectSlug,
    /// `None`: the project exists, but nothing was deployed to this alias yet.
    pub deployment_id: Option<DeploymentId>,
    /// What the hostname is for, whichever deployment it shows: a promoted one is production now.
    pub environment: Environment,
    /// Search engines may list it: only the primary production hostname.
    pub indexable: bool,
    pub serve: ServeSettings,
    pub surrogate_keys: SurrogateKeys,
    /// Where everything that is asked of this hostname is sent instead. Hardly any has one: behind a pointer it costs those
    /// that have none 8 bytes.
    pub redirect: Option<Box<RouteRedirect>>,
    /// Where the event stream stood when this was read. An edge never goes back to a lower one.
    pub version: EventPosition,
}

/// A hostname that leads to another one, path and query kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRedirect {
    pub to: Hostname,
    #[serde(default)]
    pub status: RedirectStatus,
    /// The other hostname is not this project's: it may be served by somebody else, at the usual port.
    #[serde(default, rename = "elsewhere", skip_serializing_if = "std::ops::Not::not")]
    pub is_elsewhere: bool,
}

/// How a redirect of a whole hostname is made: the method is kept by both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum RedirectStatus {
    /// 307
    Temporary,
    /// 308
    #[default]
    Permanent,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hostname is redirected with 308 (permanent) or 307 (temporary), not with {0}")]
pub struct UnknownRedirectStatus(u16);

impl RedirectStatus {
    pub fn code(self) -> u16 {
        self.into()
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        match status {
            RedirectStatus::Temporary => 307,
            RedirectStatus::Permanent => 308,
        }
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = UnknownRedirectStatus;

    fn try_from(code: u16) -> Result<Self, UnknownRedirectStatus> {
        match code {
            307 => Ok(Self::Temporary),
            308 => Ok(Self::Permanent),
            other => Err(UnknownRedirectStatus(other)),
        }
    }
}

/// Names under which a CDN in front caches answers of a hostname, in JSON a list of all of them.
///
/// An edge may hold a million routes, and nearly all have the keys that follow from the route itself: `p-{project}
/// d-{deployment}`, and `a-{project}-{alias}` where the hostname shows an alias: what a change of each makes stale
/// (docs/decisions/0010). Of those only the alias is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SurrogateKeys {
    /// The hostname shows one deployment for ever.
    OfDeployment,
    OfProduction,
    OfAlias(Box<AliasLabel>),
    #[allow(clippy::box_collection, reason = "two words less in each of the others")]
    Listed(Box<Vec<String>>),
}

impl SurrogateKeys {
    /// The usual ones of a hostname that shows an alias, or one deployment for ever.
    pub fn usual(alias: Option<AliasName>) -> Self {
        match alias {
            None => Self::OfDeployment,
            Some(AliasName::Production) => Self::OfProduction,
            Some(AliasName::Label(label)) => Self::OfAlias(Box::new(label)),
        }
    }
}

/// A route as it is sent and written down.
#[derive(Serialize, Deserialize)]
struct Json {
    hostname: Hostname,
    project_id: ProjectId,
    slug: ProjectSlug,
    deployment_id: Option<DeploymentId>,
    #[serde(default = "production")]
    environment: Environment,
    indexable: bool,
    #[serde(default)]
    serve: ServeSettings,
    surrogate_keys: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<Box<RouteRedirect>>,
    version: EventPosition,
}

impl From<Json> for Route {
    fn from(json: Json) -> Self {
        let Json { hostname, project_id, slug, deployment_id, environment, indexable, .. } = json;
        let alias = json.surrogate_keys.last().and_then(|key| {
            key.strip_prefix("a-")?.strip_prefix(project_id.as_str())?.strip_prefix('-')?.parse().ok()
        });
        let listed = json.surrogate_keys;
        let surrogate_keys = SurrogateKeys::usual(alias);
        let mut route = Self {
            hostname,
            project_id,
            slug,
            deployment_id,
            environment,
            indexable,
            serve: json.serve,
            surrogate_keys,
            redirect: json.redirect,
            version: json.version,
        };
        if !route.surrogate_keys().eq(listed.iter().map(String::as_str)) {
            route.surrogate_keys = SurrogateKeys::Listed(Box::new(listed));
        }
        route
    }
}

impl From<Route> for Json {
    fn from(route: Route) -> Self {
        Self {
            surrogate_keys: route.surrogate_keys().map(Cow::into_owned).collect(),
            hostname: route.hostname,
            project_id: route.project_id,
            slug: route.slug,
            deployment_id: route.deployment_id,
            environment: route.environment,
            indexable: route.indexable,
            serve: route.serve,
            redirect: route.redirect,
            version: route.version,
        }
    }
}

/// What routes meant that were written down before they said it.
fn production() -> Environment {
    Environment::Production
}

impl Route {
    pub fn deployment(&self) -> Option<DeploymentRef> {
        let project_id = self.project_id;
        self.deployment_id.map(|deployment_id| DeploymentRef { project_id, deployment_id })
    }

    /// Names under which a CDN in front caches answers of this hostname.
    pub fn surrogate_keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let (listed, alias) = match &self.surrogate_keys {
            SurrogateKeys::Listed(listed) => (Some(listed), None),
            SurrogateKeys::OfDeployment => (None, None),
            SurrogateKeys::OfProduction => (None, Some(AliasName::Production)),
            SurrogateKeys::OfAlias(label) => (None, Some(AliasName::Label((**label).clone()))),
        };
        let usual = listed.is_none().then(|| {
            let project = Some(SurrogateKey::project(self.project_id));
            let deployment = self.deployment_id.map(SurrogateKey::deployment);
            let alias = alias.map(|alias| SurrogateKey::alias(self.project_id, &alias));
            [project, deployment, alias].into_iter().flatten().map(|key| Cow::Owned(key.to_string()))
        });
        let listed =
            listed.into_iter().flat_map(|listed| listed.iter().map(|key| Cow::Borrowed(key.as_str())));
        listed.chain(usual.into_iter().flatten())
    }
}

/// Per-project settings; they fill what the deployment's own files leave at `auto`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServeSettings {
    #[serde(default)]
    pub not_found: NotFound,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(deployment: Option<&str>, keys: &[&str]) -> String {
        let route = serde_json::json!({
            "hostname": "shop.localhost", "project_id": "01jd3k8mxv7e2q4r", "slug": "shop",
            "deployment_id": deployment, "environment": "production", "indexable": true,
            "serve": { "not_found": "auto" }, "surrogate_keys": keys, "version": 7,
        });
        route.to_string()
    }

    #[test]
    fn keys_that_follow_from_the_route_are_kept_in_short_and_told_in_full() {
        let (project, deployment, alias) =
            ("p-01jd3k8mxv7e2q4r", "d-01jd3k8mxv7e2q4s", "a-01jd3k8mxv7e2q4r-production");
        let id = Some("01jd3k8mxv7e2q4s");
        let cases: &[(Option<&str>, &[&str], bool)] = &[
            (id, &[project, deployment, alias], true),
            (id, &[project, deployment, "a-01jd3k8mxv7e2q4r-feature-login"], true),
            (id, &[project, deployment], true),
            (None, &[project, alias], true),
            (None, &[project], true),
            (id, &[], false),
            (id, &[project], false),
            (id, &[deployment, project], false),
            (id, &[project, deployment, "a-01jd3k8mxv7e2q4x-production"], false),
            (id, &[project, deployment, alias, "another"], false),
            (id, &["p-1", "d-1"], false),
        ];
        for (deployment, keys, is_short) in cases {
            let text = json(*deployment, keys);
            let route: Route = serde_json::from_str(&text).expect("a route");
            assert_eq!(!matches!(route.surrogate_keys, SurrogateKeys::Listed(_)), *is_short, "{keys:?}");
            assert!(route.surrogate_keys().eq(keys.iter().copied()), "{keys:?}");
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(value(&serde_json::to_string(&route).expect("JSON")), value(&text));
        }
    }

    #[test]
    fn a_route_is_small() {
        // A million of them are held.
        assert!(size_of::<Route>() <= 104, "{}", size_of::<Route>());
    }

    #[test]
    fn redirects_on_the_wire() {
        let without: Route = serde_json::from_str(&json(None, &[])).expect("a route");
        assert_eq!(without.redirect, None);
        assert!(!serde_json::to_string(&without).expect("JSON").contains("redirect"));
        let redirect = |status, is_elsewhere| RouteRedirect {
            to: "example.com".parse().expect("valid"),
            status,
            is_elsewhere,
        };
        let cases = [
            (redirect(RedirectStatus::Permanent, false), r#"{"to":"example.com","status":308}"#),
            (
                redirect(RedirectStatus::Temporary, true),
                r#"{"to":"example.com","status":307,"elsewhere":true}"#,
            ),
        ];
        for (redirect, text) in cases {
            let route = Route { redirect: Some(Box::new(redirect)), ..without.clone() };
            let sent = serde_json::to_string(&route).expect("JSON");
            assert!(sent.contains(&format!(r#""redirect":{text}"#)), "{sent}");
            assert_eq!(serde_json::from_str::<Route>(&sent).expect("a route"), route);
        }
    }
}
