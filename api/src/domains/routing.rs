//! What the edges are told about a proven domain.

use loggia_types::api::DomainRole;
use loggia_types::hostname::HostnameKind;
use loggia_types::route::RouteRedirect;
use loggia_types::{BaseDomain, Hostname};

use crate::db::routes::DomainRouteRow;

/// Only the primary production hostname is for search engines. While a project has none that is proven, no name is a copy of
/// another.
pub(crate) fn is_indexable(row: &DomainRouteRow) -> bool {
    row.is_primary || !row.has_primary
}

/// Where a domain leads. Never to itself: a wildcard may cover the hostname that it leads to, and then that one serves.
pub(crate) fn redirect(
    hostname: &Hostname,
    row: &DomainRouteRow,
    base: &BaseDomain,
) -> Option<Box<RouteRedirect>> {
    let redirect = match &row.role {
        DomainRole::Serve => None,
        DomainRole::RedirectToPrimary { status } => {
            let primary = row.primary.clone()?;
            Some(RouteRedirect { to: primary, status: *status, is_elsewhere: false })
        }
        DomainRole::Redirect { to, status } => {
            let is_elsewhere = !row.is_ours && base.classify(to) == HostnameKind::Domain;
            Some(RouteRedirect { to: to.clone(), status: *status, is_elsewhere })
        }
    };
    redirect.filter(|redirect| redirect.to != *hostname).map(Box::new)
}

#[cfg(test)]
mod tests {
    use loggia_types::EventPosition;
    use loggia_types::manifest::NotFound;
    use loggia_types::route::RedirectStatus;

    use super::*;
    use crate::db::routes::RouteRow;

    fn row(role: DomainRole, primary: Option<&str>, is_ours: bool) -> DomainRouteRow {
        let route = RouteRow {
            project_id: loggia_types::ProjectId::from_parts(1, 1),
            slug: "shop".parse().expect("valid"),
            deployment_id: None,
            not_found: NotFound::default(),
            has_domain: true,
            version: EventPosition(1),
        };
        let primary: Option<Hostname> = primary.map(|text| text.parse().expect("valid"));
        DomainRouteRow { route, is_primary: false, role, is_ours, has_primary: primary.is_some(), primary }
    }

    #[test]
    fn domains_lead_where_they_are_told_and_never_to_themselves() {
        let (permanent, temporary) = (RedirectStatus::Permanent, RedirectStatus::Temporary);
        let primary = || DomainRole::RedirectToPrimary { status: permanent };
        let to = |text: &str| DomainRole::Redirect { to: text.parse().expect("valid"), status: temporary };
        let cases = [
            ("it serves", row(DomainRole::Serve, Some("example.com"), false), "-"),
            ("to the primary one", row(primary(), Some("example.com"), false), "308 example.com"),
            ("no primary one that would do", row(primary(), None, false), "-"),
            ("it is the primary one, by a wildcard", row(primary(), Some("www.example.com"), false), "-"),
            ("to somebody else", row(to("example.org"), None, false), "307 example.org, elsewhere"),
            ("to another domain of ours", row(to("example.org"), None, true), "307 example.org"),
            ("to a name of the platform", row(to("shop.localhost"), None, false), "307 shop.localhost"),
            ("to itself, by a wildcard", row(to("www.example.com"), None, true), "-"),
        ];
        let (hostname, base) =
            ("www.example.com".parse().expect("valid"), "localhost".parse().expect("valid"));
        for (what, row, expected) in cases {
            let told = match redirect(&hostname, &row, &base).as_deref() {
                None => "-".to_owned(),
                Some(RouteRedirect { to, status, is_elsewhere }) => {
                    format!("{} {to}{}", status.code(), if *is_elsewhere { ", elsewhere" } else { "" })
                }
            };
            assert_eq!(told, expected, "{what}");
        }
        assert!(!is_indexable(&row(DomainRole::Serve, Some("example.com"), false)));
        assert!(is_indexable(&row(DomainRole::Serve, None, false)));
    }
}
