//! Redirects that lead in a circle: a browser that follows would never arrive.

use loggia_types::api::DomainRole;
use loggia_types::{DomainName, Hostname};

/// A domain of a project, as far as redirects go.
#[derive(Debug, Clone)]
pub(crate) struct Leg {
    pub(crate) name: DomainName,
    pub(crate) role: DomainRole,
    pub(crate) is_primary: bool,
}

/// The hostname at which somebody who asks for a name of `domains` would be again. Every domain counts as proven: what is not
/// may become so at any time.
pub(crate) fn find(domains: &[Leg]) -> Option<Hostname> {
    domains.iter().find_map(|leg| from(domains, leg))
}

fn from(domains: &[Leg], start: &Leg) -> Option<Hostname> {
    let mut hostname = leads_to(domains, &start.name, &start.role)?;
    // Whoever has come further than there are domains has been somewhere twice.
    for _ in 0..=domains.len() {
        let leg = covering(domains, &hostname)?;
        let next = leads_to(domains, &leg.name, &leg.role)?;
        if next == hostname {
            return Some(hostname);
        }
        hostname = next;
    }
    Some(hostname)
}

/// As requests are resolved: the very hostname first, then the wildcard of its parent.
fn covering<'d>(domains: &'d [Leg], hostname: &Hostname) -> Option<&'d Leg> {
    let exact = domains.iter().find(|leg| leg.name.exact() == Some(hostname));
    exact.or_else(|| domains.iter().find(|leg| leg.name.matches(hostname)))
}

fn leads_to(domains: &[Leg], from: &DomainName, role: &DomainRole) -> Option<Hostname> {
    match role {
        DomainRole::Serve => None,
        DomainRole::Redirect { to, .. } => Some(to.clone()),
        DomainRole::RedirectToPrimary { .. } => {
            let primary = domains.iter().find(|leg| leg.is_primary)?;
            primary.name.exact().filter(|name| *from != **name).cloned()
        }
    }
}

#[cfg(test)]
mod tests {
    use loggia_types::route::RedirectStatus;

    use super::*;

    /// `a.b!` is the primary one, `a.b>c.d` redirects, `a.b>!` redirects to the primary one.
    fn has_circle(domains: &[&str]) -> bool {
        let status = RedirectStatus::Permanent;
        let leg = |text: &&str| {
            let (name, to) = text.split_once('>').unwrap_or((text, ""));
            let role = match to {
                "" => DomainRole::Serve,
                "!" => DomainRole::RedirectToPrimary { status },
                to => DomainRole::Redirect { to: to.parse().expect("valid"), status },
            };
            let bare = name.trim_end_matches('!');
            Leg { name: bare.parse().expect("valid"), role, is_primary: bare != name }
        };
        find(&domains.iter().map(leg).collect::<Vec<_>>()).is_some()
    }

    #[test]
    fn circles_are_found() {
        let cases: &[(&[&str], bool)] = &[
            (&["a.example!", "www.a.example>!"], false),
            (&["a.example!", "b.example>c.example"], false),
            (&["a.example!", "b.example>a.example"], false),
            (&["a.example>a.example"], true),
            (&["a.example>b.example", "b.example>a.example"], true),
            (&["a.example>b.example", "b.example>c.example", "c.example>b.example"], true),
            // A wildcard covers what it leads to.
            (&["*.example>www.example"], true),
            (&["*.example>www.example", "www.example"], false),
            (&["*.example>www.example", "www.example>!", "a.b.c!"], false),
            (&["*.example>!", "www.example!"], false),
            (&["a.b>www.example", "*.example>a.b"], true),
        ];
        for (domains, expected) in cases {
            assert_eq!(has_circle(domains), *expected, "{domains:?}");
        }
    }
}
